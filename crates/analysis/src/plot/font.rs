//! The font that ships with cpipe: widths and outlines.

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::scene::{Point, Segment};

static FACE: LazyLock<Face<'static>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
    Face::parse(bytes, 0).expect("the font in the binary is whole")
});

/// A glyph and where it begins, in font units from the start of its line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Glyph {
    pub(super) id: u16,
    pub(super) at: u32,
}

/// Font units in one text size.
pub(super) fn units() -> f64 {
    f64::from(FACE.units_per_em())
}

/// The glyphs of a line; what the font lacks becomes its box.
pub(super) fn glyphs(text: &str) -> Vec<Glyph> {
    laid(text).0
}

fn laid(text: &str) -> (Vec<Glyph>, u32) {
    let mut at = 0;
    let mut glyphs = Vec::new();
    for c in text.chars() {
        let id = FACE.glyph_index(c).unwrap_or(GlyphId(0));
        glyphs.push(Glyph { id: id.0, at });
        at += u32::from(FACE.glyph_hor_advance(id).unwrap_or_default());
    }
    (glyphs, at)
}

/// Width of a line, in the unit of `size`.
pub(super) fn width(text: &str, size: f64) -> f64 {
    f64::from(laid(text).1) / units() * size
}

/// Width of the widest.
pub(super) fn widest<'t>(texts: impl IntoIterator<Item = &'t str>, size: f64) -> f64 {
    let widths = texts.into_iter().map(|text| width(text, size));
    widths.fold(0.0, f64::max)
}

/// `size`, or less if the text would be wider than `room`.
pub(super) fn fitting(text: &str, size: f64, room: f64) -> f64 {
    size * (room / width(text, size).max(1e-9)).min(1.0)
}

/// Lines no wider than `room` where words allow it; at most `most`, the rest cut.
pub(super) fn wrap(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let longer = lines.last().map(|last| format!("{last} {word}"));
        match longer.filter(|longer| width(longer, size) <= room) {
            Some(longer) => {
                lines.pop();
                lines.push(longer);
            }
            None => lines.push(word.to_owned()),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            last.push_str(" …");
        }
    }
    lines
}

/// The outline of a glyph in font units, upwards.
pub(super) fn outline(glyph: u16) -> Vec<Segment> {
    let mut outline = Outline(Vec::new());
    FACE.outline_glyph(GlyphId(glyph), &mut outline);
    outline.0
}

struct Outline(Vec<Segment>);

fn point(x: f32, y: f32) -> Point {
    (f64::from(x), f64::from(y))
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.push(Segment::Move(point(x, y)));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.0.push(Segment::Line(point(x, y)));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.push(Segment::Quad(point(x1, y1), point(x, y)));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let [a, b, to] = [point(x1, y1), point(x2, y2), point(x, y)];
        self.0.push(Segment::Cubic(a, b, to));
    }

    fn close(&mut self) {
        self.0.push(Segment::Close);
    }
}

/// A number in superscript digits.
pub(super) fn superscript(text: &str) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = |c: char| match c {
        '-' => '⁻',
        '.' => '·',
        c => c.to_digit(10).map_or(c, |d| DIGITS[d as usize]),
    };
    text.chars().map(raised).collect()
}
