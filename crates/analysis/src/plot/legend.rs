//! What the line colours mean, to the right of a panel.

use super::canvas::{Anchor, BLACK, Canvas, Drawn, Frame};
use super::color::line;
use super::style::{CURVE, LABEL, LINE, TICK};
use super::text::widest;

/// From the panel to the legend.
const GAP: f64 = 14.0;
/// Length of a line's sample.
const SAMPLE: f64 = 18.0;
/// From the sample to the name.
const SPACE: f64 = 6.0;

/// Room that it takes beyond the panel.
pub(super) fn room(names: &[String]) -> f64 {
    let names = widest(names.iter().map(String::as_str), TICK);
    GAP + (SAMPLE + SPACE + names).max(widest(["model", "step S"], LABEL))
}

/// Draws it. Where there are more lines than fit beside the panel, evenly spaced ones are named.
pub(super) fn draw(canvas: &Canvas<'_>, title: &str, names: &[String], panel: Frame) -> Drawn {
    let left = panel.right + GAP;
    let top = panel.top + LABEL / 2.0;
    canvas.text(title, (left, top), LABEL, Anchor::Left, BLACK)?;
    let fit = ((panel.bottom - top) / LINE) as usize;
    for (row, index) in shown(names.len(), fit.max(1)).into_iter().enumerate() {
        let at = top + LINE * (row as f64 + 1.2);
        let colour = line(index, names.len());
        canvas.line(&[(left, at), (left + SAMPLE, at)], colour, CURVE)?;
        canvas.dot((left + SAMPLE / 2.0, at), 2.6, colour)?;
        let name = (left + SAMPLE + SPACE, at);
        canvas.text(&names[index], name, TICK, Anchor::Left, BLACK)?;
    }
    Ok(())
}

/// Which of `count` lines are named if `fit` can be: the first, the last, and some between.
fn shown(count: usize, fit: usize) -> Vec<usize> {
    if count <= fit {
        return (0..count).collect();
    }
    let last = fit.max(2) - 1;
    (0..=last).map(|i| i * (count - 1) / last).collect()
}
