//! The `plot` stage: the paper's Figure 1, and further views of the measurements and fits.
//!
//! Each figure is a function from panels and a page to a `Scene`: outlines and lines of text in points.
//! SVG, PNG and PDF are written from the same scene, text as outlines of the font that ships with
//! cpipe, so that all look alike everywhere. What is missing is said on the figure.

/// Appends to a string.
macro_rules! put {
    ($text:expr, $($part:tt)*) => {
        std::fmt::Write::write_fmt($text, format_args!($($part)*))
            .expect("writing to a string does not fail")
    };
}

mod axis;
mod bar;
mod baselines;
mod chunks;
mod color;
mod compute;
mod contour;
mod curves;
mod exponents;
mod font;
mod frame;
mod front;
mod heat;
mod law;
mod legend;
mod page;
mod params;
mod pdf;
mod png;
mod scale;
mod scene;
mod stage;
mod study;
mod style;
mod svg;
#[cfg(test)]
mod tests;

pub use params::{FigureName, Format, PlotParams, Size, Sizes, StyleName};
pub use stage::Plot;
