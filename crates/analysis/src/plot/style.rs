//! Sizes of text and strokes, in SVG units.
//!
//! A figure with three columns is about 950 units wide: at a paper's text width of 7 inches a unit is
//! about half a point, so that the smallest text prints at 6 points.

/// Panel titles.
pub(super) const TITLE: f64 = 14.0;
/// Names of axes and colour bars.
pub(super) const LABEL: f64 = 13.0;
/// Numbers at ticks, in cells and in legends.
pub(super) const TICK: f64 = 12.0;
/// Equations and notes; shrunk to fit where they must.
pub(super) const NOTE: f64 = 12.0;
/// From one line of a note to the next.
pub(super) const LINE: f64 = 15.0;
/// Length of a tick.
pub(super) const TICK_LENGTH: f64 = 4.0;
/// Frames and ticks.
pub(super) const HAIR: f64 = 0.9;
/// Fitted curves.
pub(super) const CURVE: f64 = 1.6;
/// Clear space around a whole figure.
pub(super) const MARGIN: f64 = 10.0;
