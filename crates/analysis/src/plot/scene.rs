//! What a figure consists of: shapes in points (1/72 inch) from the top left.
//!
//! The writers of SVG, PNG and PDF draw the same list, so that all three look alike.

use super::color::Colour;
use super::font;
use super::frame::Frame;

/// A place on the page.
pub(super) type Point = (f64, f64);

/// A step of an outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Segment {
    Move(Point),
    Line(Point),
    Quad(Point, Point),
    Cubic(Point, Point, Point),
    Close,
}

/// A colour, from 0 (not there) to 1 (opaque).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fill {
    pub(super) colour: Colour,
    pub(super) opacity: f64,
}

/// A line's colour and width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) colour: Colour,
    pub(super) width: f64,
    pub(super) dashed: bool,
}

impl Stroke {
    pub(super) fn new(colour: Colour, width: f64) -> Self {
        Self {
            colour,
            width,
            dashed: false,
        }
    }

    pub(super) fn dashed(self) -> Self {
        Self {
            dashed: true,
            ..self
        }
    }

    /// Lengths of dashes and gaps.
    pub(super) fn dashes(&self) -> Option<[f64; 2]> {
        self.dashed.then_some([4.0 * self.width, 2.5 * self.width])
    }
}

/// A line of text; `at` is where its baseline begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) at: Point,
    pub(super) size: f64,
    pub(super) colour: Colour,
    /// Whether it reads from bottom to top.
    pub(super) upright: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Path {
        segments: Vec<Segment>,
        fill: Option<Fill>,
        stroke: Option<Stroke>,
    },
    Text(Text),
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Centre,
    Left,
    Right,
}

/// A whole figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scene {
    pub(super) size: (f64, f64),
    pub(super) background: Colour,
    pub(super) shapes: Vec<Shape>,
}

/// From a text's middle down to its baseline, in text sizes: half the height of a digit.
const MIDDLE: f64 = 0.365;
/// Distance of a quarter circle's control points from its ends, in radii.
const ROUND: f64 = 0.552_284_75;

impl Scene {
    pub(super) fn new(size: (f64, f64), background: Colour) -> Self {
        Self {
            size,
            background,
            shapes: Vec::new(),
        }
    }

    /// Adds a path, unless a number was not finite on the way here.
    fn path(&mut self, segments: Vec<Segment>, fill: Option<Fill>, stroke: Option<Stroke>) {
        let finite = |(x, y): Point| x.is_finite() && y.is_finite();
        let whole = segments.iter().all(|segment| match *segment {
            Segment::Move(p) | Segment::Line(p) => finite(p),
            Segment::Quad(a, p) => finite(a) && finite(p),
            Segment::Cubic(a, b, p) => finite(a) && finite(b) && finite(p),
            Segment::Close => true,
        });
        if whole && segments.len() > 1 {
            self.shapes.push(Shape::Path {
                segments,
                fill,
                stroke,
            });
        }
    }

    pub(super) fn rectangle(&mut self, frame: Frame, colour: Colour) {
        self.polygon(&frame.corners(), colour, 1.0);
    }

    pub(super) fn outline(&mut self, frame: Frame, stroke: Stroke) {
        self.path(closed(&frame.corners()), None, Some(stroke));
    }

    pub(super) fn line(&mut self, points: &[Point], stroke: Stroke) {
        self.path(open(points), None, Some(stroke));
    }

    pub(super) fn polygon(&mut self, points: &[Point], colour: Colour, opacity: f64) {
        self.path(closed(points), Some(Fill { colour, opacity }), None);
    }

    /// Closed loops; what lies within an even number of them stays free.
    pub(super) fn loops(&mut self, loops: &[Vec<Point>], colour: Colour, edge: Stroke) {
        let segments = loops.iter().flat_map(|points| closed(points)).collect();
        let fill = Fill {
            colour,
            opacity: 1.0,
        };
        self.path(segments, Some(fill), Some(edge));
    }

    pub(super) fn dot(&mut self, at: Point, radius: f64, fill: Colour, edge: Option<Stroke>) {
        let fill = Fill {
            colour: fill,
            opacity: 1.0,
        };
        self.path(circle(at, radius), Some(fill), edge);
    }

    /// A circle without a filling.
    pub(super) fn ring(&mut self, at: Point, radius: f64, stroke: Stroke) {
        self.path(circle(at, radius), None, Some(stroke));
    }

    /// Text whose middle stands at the height of `at`.
    pub(super) fn text(
        &mut self,
        text: &str,
        at: Point,
        size: f64,
        anchor: Anchor,
        colour: Colour,
    ) {
        let x = at.0 - before(text, size, anchor);
        self.place(text, (x, at.1 + MIDDLE * size), size, colour, false);
    }

    /// Text that reads from bottom to top, centred on its point.
    pub(super) fn upright(&mut self, text: &str, at: Point, size: f64, colour: Colour) {
        let y = at.1 + before(text, size, Anchor::Centre);
        self.place(text, (at.0 + MIDDLE * size, y), size, colour, true);
    }

    fn place(&mut self, text: &str, at: Point, size: f64, colour: Colour, upright: bool) {
        if !text.is_empty() && at.0.is_finite() && at.1.is_finite() {
            let text = text.to_owned();
            self.shapes.push(Shape::Text(Text {
                text,
                at,
                size,
                colour,
                upright,
            }));
        }
    }
}

/// How much of a text lies to the left of its point.
fn before(text: &str, size: f64, anchor: Anchor) -> f64 {
    match anchor {
        Anchor::Left => 0.0,
        Anchor::Centre => font::width(text, size) / 2.0,
        Anchor::Right => font::width(text, size),
    }
}

fn open(points: &[Point]) -> Vec<Segment> {
    let rest = points.iter().skip(1).map(|p| Segment::Line(*p));
    let first = points.first().map(|p| Segment::Move(*p));
    first.into_iter().chain(rest).collect()
}

fn closed(points: &[Point]) -> Vec<Segment> {
    let mut segments = open(points);
    segments.push(Segment::Close);
    segments
}

fn circle((x, y): Point, r: f64) -> Vec<Segment> {
    let k = ROUND * r;
    vec![
        Segment::Move((x + r, y)),
        Segment::Cubic((x + r, y + k), (x + k, y + r), (x, y + r)),
        Segment::Cubic((x - k, y + r), (x - r, y + k), (x - r, y)),
        Segment::Cubic((x - r, y - k), (x - k, y - r), (x, y - r)),
        Segment::Cubic((x + k, y - r), (x + r, y - k), (x + r, y)),
        Segment::Close,
    ]
}
