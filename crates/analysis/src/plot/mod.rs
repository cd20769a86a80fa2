//! The `plot` stage: the paper's Figure 1, the measured grid, and curves through the points.
//!
//! Each figure is a pure function from observations and fits to an SVG; its text is then turned into
//! outlines of the font that ships with cpipe, and the same tree is rasterised for the PNG, so that
//! both look alike everywhere.

mod canvas;
mod color;
mod curves;
mod data;
mod grid;
mod law;
mod render;
mod scale;
mod stage;

pub use stage::{Plot, PlotParams};
