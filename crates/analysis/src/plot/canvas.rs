//! A page to draw on, in SVG units from the top left.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor, TextStyle};

use super::render::FONT;
use crate::error::AnalysisError;

pub(super) const BLACK: RGBColor = RGBColor(0, 0, 0);
pub(super) const GREY: RGBColor = RGBColor(110, 110, 110);

/// Where a text stands relative to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Centre,
    Left,
    Right,
}

pub(super) struct Canvas<'c> {
    area: DrawingArea<SVGBackend<'c>, Shift>,
    figure: &'static str,
}

type Drawn = Result<(), AnalysisError>;

/// Draws a figure of that size; returns the SVG.
pub(super) fn draw(
    figure: &'static str,
    size: (f64, f64),
    paint: impl FnOnce(&Canvas<'_>) -> Drawn,
) -> Result<String, AnalysisError> {
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, (size.0 as u32, size.1 as u32));
        let canvas = Canvas {
            area: backend.into_drawing_area(),
            figure,
        };
        canvas.rectangle((0.0, 0.0), size, RGBColor(255, 255, 255))?;
        paint(&canvas)?;
        canvas.area.present().map_err(|e| canvas.failed(&e))?;
    }
    Ok(svg)
}

fn pixel((x, y): (f64, f64)) -> (i32, i32) {
    (libm::round(x) as i32, libm::round(y) as i32)
}

impl Canvas<'_> {
    fn failed(&self, error: &impl ToString) -> AnalysisError {
        AnalysisError::Figure {
            figure: self.figure,
            reason: error.to_string(),
        }
    }

    pub(super) fn rectangle(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Drawn {
        let shape = Rectangle::new([pixel(from), pixel(to)], color.filled());
        self.area.draw(&shape).map_err(|e| self.failed(&e))
    }

    pub(super) fn frame(&self, from: (f64, f64), to: (f64, f64)) -> Drawn {
        let shape = Rectangle::new([pixel(from), pixel(to)], BLACK.stroke_width(1));
        self.area.draw(&shape).map_err(|e| self.failed(&e))
    }

    pub(super) fn line(&self, points: &[(f64, f64)], color: RGBColor, width: u32) -> Drawn {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        let shape = PathElement::new(points, color.stroke_width(width));
        self.area.draw(&shape).map_err(|e| self.failed(&e))
    }

    pub(super) fn polygon(&self, points: &[(f64, f64)], color: RGBColor) -> Drawn {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        self.area
            .draw(&Polygon::new(points, color.filled()))
            .map_err(|e| self.failed(&e))
    }

    pub(super) fn dot(&self, at: (f64, f64), radius: i32, color: RGBColor) -> Drawn {
        self.area
            .draw(&Circle::new(pixel(at), radius, color.filled()))
            .map_err(|e| self.failed(&e))
    }

    pub(super) fn text(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        anchor: Anchor,
        color: RGBColor,
    ) -> Drawn {
        self.place(text, at, size, anchor, color, FontTransform::None)
    }

    /// Text that reads from bottom to top, centred on its point.
    pub(super) fn upright(&self, text: &str, at: (f64, f64), size: f64) -> Drawn {
        self.place(
            text,
            at,
            size,
            Anchor::Centre,
            BLACK,
            FontTransform::Rotate270,
        )
    }

    fn place(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        anchor: Anchor,
        color: RGBColor,
        turn: FontTransform,
    ) -> Drawn {
        let horizontal = match anchor {
            Anchor::Centre => HPos::Center,
            Anchor::Left => HPos::Left,
            Anchor::Right => HPos::Right,
        };
        let font = (FONT, size).into_font().transform(turn);
        let style = TextStyle::from(font)
            .color(&color)
            .pos(Pos::new(horizontal, VPos::Center));
        self.area
            .draw(&Text::new(text.to_owned(), pixel(at), style))
            .map_err(|e| self.failed(&e))
    }
}
