//! How figures look: on paper, on a slide, on a dark slide.

use super::color::{Colour, class, viridis};
use super::params::StyleName;
use super::scene::Stroke;

/// Colours, and sizes in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    pub(super) dark: bool,
    pub(super) background: Colour,
    pub(super) ink: Colour,
    /// Lines that help the eye.
    pub(super) faint: Colour,
    /// Width of a page.
    pub(super) width: f64,
    /// Pixels an inch, in PNG.
    pub(super) dpi: f64,
    /// Numbers at ticks, in cells, in legends; notes.
    pub(super) small: f64,
    /// Names of axes.
    pub(super) label: f64,
    /// Titles of panels.
    pub(super) title: f64,
    /// Frames and ticks.
    pub(super) hair: f64,
    /// Fitted curves.
    pub(super) curve: f64,
    /// Radius of a point.
    pub(super) dot: f64,
}

/// 180 mm, the width of a page of text; the smallest text prints at 6.5 points.
const PAPER: Style = Style {
    dark: false,
    background: Colour(255, 255, 255),
    ink: Colour(0, 0, 0),
    faint: Colour(217, 217, 217),
    width: 180.0 / 25.4 * 72.0,
    dpi: 200.0,
    small: 6.5,
    label: 7.2,
    title: 8.0,
    hair: 0.5,
    curve: 1.0,
    dot: 1.7,
};

/// A slide of 13.33 × 7.5 inches.
const SLIDE: Style = Style {
    width: 960.0,
    dpi: 144.0,
    small: 13.0,
    label: 14.5,
    title: 16.5,
    hair: 1.0,
    curve: 2.2,
    dot: 3.6,
    ..PAPER
};

const DARK: Style = Style {
    dark: true,
    background: Colour(22, 25, 30),
    ink: Colour(235, 237, 240),
    faint: Colour(66, 71, 79),
    ..SLIDE
};

impl Style {
    pub(super) fn named(name: StyleName) -> Self {
        match name {
            StyleName::Paper => PAPER,
            StyleName::Slide => SLIDE,
            StyleName::Dark => DARK,
        }
    }

    pub(super) fn hairline(&self) -> Stroke {
        Stroke::new(self.ink, self.hair)
    }

    /// A line that helps the eye.
    pub(super) fn guide(&self) -> Stroke {
        Stroke::new(self.faint, self.hair)
    }

    /// From one line of small text to the next.
    pub(super) fn line(&self) -> f64 {
        1.3 * self.small
    }

    /// Clear space around a whole figure.
    pub(super) fn margin(&self) -> f64 {
        0.6 * self.small
    }

    /// Length of a tick.
    pub(super) fn tick(&self) -> f64 {
        0.4 * self.small
    }

    /// The colour of one of `count` lines in an order; the end of the map that would vanish into
    /// the page is left out.
    pub(super) fn ordered(&self, index: usize, count: usize) -> Colour {
        let t = index as f64 / count.max(2).saturating_sub(1) as f64;
        viridis(if self.dark { 0.38 + 0.62 * t } else { 0.72 * t })
    }

    /// The colour of a class without an order.
    pub(super) fn class(&self, index: usize) -> Colour {
        class(index, self.dark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_lines_stand_out_from_every_page() {
        for style in [PAPER, SLIDE, DARK] {
            assert!(style.ink.contrast(style.background) > 15.0);
            for i in 0..7 {
                let line = style.ordered(i, 7).contrast(style.background);
                assert!(line > 2.0, "line {i}: {line}");
            }
            for i in 0..3 {
                let class = style.class(i).contrast(style.background);
                assert!(class > 3.0, "class {i}: {class}");
            }
        }
    }
}
