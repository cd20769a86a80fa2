//! How wide a text is in the shipped font, and how to make it fit.

use std::sync::LazyLock;

use plotters::style::{FontStyle, IntoFont, register_font};

use super::render::{FONT, FONT_BYTES};

/// The plotters size at which an em is 1,000 pixels: it counts from ascender to descender, which are
/// 2,384 of DejaVu Sans's 2,048 units an em.
const THOUSAND: f64 = 1000.0 * 2384.0 / 2048.0;

/// Whether plotters could read the font, once told of it.
static REGISTERED: LazyLock<bool> =
    LazyLock::new(|| register_font(FONT, FontStyle::Normal, FONT_BYTES).is_ok());

/// Width of a line of text, in the unit of `size`.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let measured = (*REGISTERED)
        .then(|| (FONT, THOUSAND).into_font().box_size(text).ok())
        .flatten();
    match measured {
        Some((width, _)) => f64::from(width) / 1000.0 * size,
        None => 0.65 * size * text.chars().count() as f64,
    }
}

/// Width of the widest.
pub(super) fn widest<'t>(texts: impl IntoIterator<Item = &'t str>, size: f64) -> f64 {
    texts
        .into_iter()
        .map(|text| width(text, size))
        .fold(0.0, f64::max)
}

/// `size`, or less if the text would be wider than `room`.
pub(super) fn fitting(text: &str, size: f64, room: f64) -> f64 {
    size * (room / width(text, size).max(1e-9)).min(1.0)
}

/// Lines that are no wider than `room` where words allow it; at most `most`, the rest cut.
pub(super) fn wrap(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let longer = format!("{} {word}", lines[last]);
        if lines[last].is_empty() || width(longer.trim_start(), size) <= room {
            lines[last] = longer.trim_start().to_owned();
        } else {
            lines.push(word.to_owned());
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        lines[most - 1].push_str(" …");
    }
    lines
}

/// A whole number in superscript digits.
pub(super) fn superscript(text: &str) -> String {
    text.chars().map(raised).collect()
}

fn raised(c: char) -> char {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    match c {
        '-' => '⁻',
        '.' => '·',
        c => c.to_digit(10).map_or(c, |d| DIGITS[d as usize]),
    }
}
