//! The colour bar: what a colour means.

use super::axis::{LABEL_GAP, Tick, round};
use super::canvas::{Anchor, BLACK, Canvas, Drawn, Frame};
use super::color::viridis;
use super::scale::{Linear, extent};
use super::style::{HAIR, LABEL, TICK, TICK_LENGTH};
use super::text::widest;

/// From a panel to its bar.
const GAP: f64 = 10.0;
const WIDTH: f64 = 12.0;
/// Segments of a bar that shows a smooth map.
const SMOOTH: usize = 128;

/// A map from ratios to colours.
#[derive(Clone)]
pub(super) struct Colours {
    low: f64,
    high: f64,
    /// The edges of bands of one colour; empty if the map is smooth.
    levels: Vec<f64>,
}

impl Colours {
    /// A smooth map over the values.
    pub(super) fn smooth(values: &[f64]) -> Self {
        let (low, high) = extent(values);
        Self {
            low,
            high,
            levels: Vec::new(),
        }
    }

    /// About a dozen bands between round levels that hold the values.
    pub(super) fn banded(values: &[f64]) -> Self {
        let (low, high) = extent(values);
        let step = Linear::between(low, high, 0.0, 1.0).step(11);
        let (first, last) = (
            libm::floor(low / step + 1e-9),
            libm::ceil(high / step - 1e-9),
        );
        let count = (last - first).clamp(1.0, 64.0) as usize;
        let levels: Vec<f64> = (0..=count).map(|i| (first + i as f64) * step).collect();
        Self {
            low: levels[0],
            high: levels[count],
            levels,
        }
    }

    /// The edges of the bands, lowest first.
    pub(super) fn levels(&self) -> &[f64] {
        &self.levels
    }

    pub(super) fn of(&self, value: f64) -> plotters::style::RGBColor {
        if self.levels.is_empty() {
            return viridis((value - self.low) / (self.high - self.low));
        }
        let above = self.levels.iter().filter(|level| **level <= value).count();
        self.band(above.max(1) - 1)
    }

    /// Colour of the band above the `index`th level.
    pub(super) fn band(&self, index: usize) -> plotters::style::RGBColor {
        let bands = self.levels.len().max(3) - 2;
        viridis(index as f64 / bands as f64)
    }

    fn segments(&self) -> Vec<f64> {
        if !self.levels.is_empty() {
            return self.levels.clone();
        }
        let step = (self.high - self.low) / SMOOTH as f64;
        (0..=SMOOTH).map(|i| self.low + step * i as f64).collect()
    }

    fn ticks(&self, axis: &Linear) -> Vec<Tick> {
        round(axis, 6)
    }
}

/// Room that the bars of these maps take to the right of a panel.
pub(super) fn room<'c>(maps: impl Iterator<Item = &'c Colours>) -> f64 {
    let labels = maps
        .map(|map| {
            let ticks = map.ticks(&Linear::between(map.low, map.high, 1.0, 0.0));
            widest(ticks.iter().map(|tick| tick.label.as_str()), TICK)
        })
        .fold(0.0, f64::max);
    GAP + WIDTH + LABEL_GAP + labels + 4.0 + LABEL
}

/// Draws the bar to the right of a panel; `room` is what [`room`] said.
pub(super) fn draw(canvas: &Canvas<'_>, colours: &Colours, panel: Frame, room: f64) -> Drawn {
    let (left, height) = (panel.right + GAP, panel.bottom - panel.top);
    let bar = Frame::at((left, panel.top), (WIDTH, height));
    let axis = Linear::between(colours.low, colours.high, bar.bottom, bar.top);
    let segments = colours.segments();
    // Each segment reaches to the bottom and the next one covers it: no seams.
    for pair in segments.windows(2).rev() {
        let top = axis.pixel(pair[1]);
        let middle = f64::midpoint(pair[0], pair[1]);
        canvas.rectangle(Frame { top, ..bar }, colours.of(middle))?;
    }
    canvas.frame(bar)?;
    for tick in colours.ticks(&axis) {
        let end = bar.right + TICK_LENGTH;
        canvas.line(&[(bar.right, tick.at), (end, tick.at)], BLACK, HAIR)?;
        let at = (bar.right + LABEL_GAP, tick.at);
        canvas.text(&tick.label, at, TICK, Anchor::Left, BLACK)?;
    }
    let at = (panel.right + room - LABEL / 2.0, bar.middle().1);
    canvas.upright("compression ratio", at, LABEL)
}
