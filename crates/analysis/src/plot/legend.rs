//! What the colours of lines mean, to the right of a panel.

use super::font::widest;
use super::frame::Frame;
use super::scene::{Anchor, Scene, Stroke};
use super::style::Style;

/// Room that it takes beyond the panel.
pub(super) fn room(style: &Style, titles: &[&str], names: &[String]) -> f64 {
    let small = style.small;
    let names = widest(names.iter().map(String::as_str), small) + 2.4 * small;
    let titles = widest(titles.iter().copied(), style.label);
    1.2 * small + names.max(titles)
}

/// Draws it. Where there are more lines than fit beside the panel, evenly spaced ones are named.
pub(super) fn draw(scene: &mut Scene, style: &Style, frame: Frame, title: &str, names: &[String]) {
    let left = frame.right + 1.2 * style.small;
    let top = frame.top + style.label / 2.0;
    scene.text(title, (left, top), style.label, Anchor::Left, style.ink);
    let top = top + 0.4 * style.label;
    let fit = ((frame.bottom - top) / style.line()) as usize;
    for (row, index) in shown(names.len(), fit.max(1)).into_iter().enumerate() {
        let at = top + style.line() * (row as f64 + 0.75);
        let colour = style.ordered(index, names.len());
        let sample = [(left, at), (left + 1.8 * style.small, at)];
        scene.line(&sample, Stroke::new(colour, style.curve));
        scene.dot((left + 0.9 * style.small, at), style.dot, colour, None);
        let name = (left + 2.3 * style.small, at);
        scene.text(&names[index], name, style.small, Anchor::Left, style.ink);
    }
}

/// Which of `count` lines are named if `fit` can be: the first, the last, and some between.
fn shown(count: usize, fit: usize) -> Vec<usize> {
    if count <= fit {
        return (0..count).collect();
    }
    let last = fit.max(2) - 1;
    (0..=last).map(|i| i * (count - 1) / last).collect()
}
