//! The colour bar: what a colour means.

use super::axis::{self, Direction, Tick, round};
use super::color::{Colour, diverging, viridis};
use super::font::fitting;
use super::frame::Frame;
use super::scale::{Linear, extent};
use super::scene::{Anchor, Scene};
use super::style::Style;

/// Segments of a bar that shows a smooth map.
const SMOOTH: usize = 64;

/// A map from numbers to colours.
#[derive(Clone, Debug)]
pub(super) enum Colours {
    /// Viridis from low to high.
    Smooth(f64, f64),
    /// Viridis in bands of one colour, between these levels.
    Bands(Vec<f64>),
    /// Away from 0 to either side; on a dark page or not.
    Diverging(f64, bool),
}

impl Colours {
    pub(super) fn smooth(values: &[f64]) -> Self {
        let (low, high) = extent(values);
        Self::Smooth(low, high)
    }

    /// About a dozen bands between round levels that hold the values.
    pub(super) fn banded(values: &[f64]) -> Self {
        let (low, high) = extent(values);
        let step = Linear::between((low, high), (0.0, 1.0)).step(11);
        let (first, last) = (
            libm::floor(low / step + 1e-9),
            libm::ceil(high / step - 1e-9),
        );
        let count = (last - first).clamp(1.0, 64.0) as usize;
        Self::Bands((0..=count).map(|i| (first + i as f64) * step).collect())
    }

    /// Symmetric around 0, as far as the values reach.
    pub(super) fn around_zero(values: &[f64], dark: bool) -> Self {
        let (low, high) = extent(values);
        Self::Diverging(low.abs().max(high.abs()), dark)
    }

    fn ends(&self) -> (f64, f64) {
        match self {
            Self::Smooth(low, high) => (*low, *high),
            Self::Bands(levels) => (levels[0], levels[levels.len() - 1]),
            Self::Diverging(most, _) => (-most, *most),
        }
    }

    pub(super) fn of(&self, value: f64) -> Colour {
        match self {
            Self::Smooth(low, high) => viridis((value - low) / (high - low)),
            Self::Diverging(most, dark) => diverging(value / most, *dark),
            Self::Bands(levels) => {
                let above = levels.iter().filter(|level| **level <= value).count();
                let bands = levels.len().max(3) - 2;
                viridis(above.max(1).saturating_sub(1) as f64 / bands as f64)
            }
        }
    }

    fn edges(&self) -> Vec<f64> {
        if let Self::Bands(levels) = self {
            return levels.clone();
        }
        let (low, high) = self.ends();
        let step = (high - low) / SMOOTH as f64;
        (0..=SMOOTH).map(|i| low + step * i as f64).collect()
    }

    fn ticks(&self, style: &Style, (bottom, top): (f64, f64)) -> Vec<Tick> {
        let axis = Linear::between(self.ends(), (bottom, top));
        round(&axis, style, Direction::Up)
    }
}

fn thickness(style: &Style) -> f64 {
    0.9 * style.small
}

/// Room that the bars of these maps take to the right of a panel, whatever its height.
pub(super) fn room(style: &Style, maps: &[Colours]) -> f64 {
    let rooms = maps
        .iter()
        .map(|map| axis::room(style, &|ends| map.ticks(style, ends)));
    0.8 * style.small + thickness(style) + rooms.fold(0.0, f64::max)
}

/// Draws the bar to the right of a panel.
pub(super) fn draw(scene: &mut Scene, style: &Style, colours: &Colours, panel: Frame) {
    let left = panel.right + 0.8 * style.small;
    let bar = Frame {
        left,
        right: left + thickness(style),
        ..panel
    };
    let axis = Linear::between(colours.ends(), (bar.bottom, bar.top));
    // Each segment reaches to the bottom and the next one covers it: no seams.
    for pair in colours.edges().windows(2).rev() {
        let top = axis.place(pair[1]);
        let middle = f64::midpoint(pair[0], pair[1]);
        scene.rectangle(Frame { top, ..bar }, colours.of(middle));
    }
    scene.outline(bar, style.hairline());
    for tick in colours.ticks(style, (bar.bottom, bar.top)) {
        let end = bar.right + style.tick();
        scene.line(&[(bar.right, tick.at), (end, tick.at)], style.hairline());
        let at = (end + 0.35 * style.small, tick.at);
        scene.text(&tick.label, at, style.small, Anchor::Left, style.ink);
    }
}

/// The name of a bar, where its room ends.
pub(super) fn name(scene: &mut Scene, style: &Style, panel: Frame, room: f64, name: &str) {
    let at = (panel.right + room + 0.75 * style.label, panel.middle().1);
    let size = fitting(name, style.label, panel.height() + style.label);
    scene.upright(name, at, size, style.ink);
}
