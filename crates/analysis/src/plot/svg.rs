//! Scenes as SVG: every glyph is an outline, defined once and used where it stands.

use std::collections::BTreeSet;

use super::font;
use super::scene::{Scene, Segment, Shape, Text};

/// `name` makes ids that stay apart from those of other figures on the same page.
pub(super) fn write(scene: &Scene, name: &str, caption: &str) -> String {
    let (width, height) = (number(scene.size.0), number(scene.size.1));
    let caption = escaped(caption);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
         width=\"{width}pt\" height=\"{height}pt\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{caption}\">\n<title>{caption}</title>\n<defs>\n"
    );
    for glyph in used(scene) {
        let outline = data(&font::outline(glyph));
        if !outline.is_empty() {
            put!(&mut svg, "<path id=\"{name}-g{glyph}\" d=\"{outline}\"/>\n");
        }
    }
    svg += "</defs>\n";
    let background = scene.background;
    put!(
        &mut svg,
        "<rect width=\"{width}\" height=\"{height}\" fill=\"{background}\"/>\n"
    );
    for shape in &scene.shapes {
        svg += &drawn(shape, name);
    }
    svg + "</svg>\n"
}

fn used(scene: &Scene) -> BTreeSet<u16> {
    let texts = scene.shapes.iter().filter_map(|shape| match shape {
        Shape::Text(text) => Some(&text.text),
        Shape::Path { .. } => None,
    });
    let glyphs = texts.flat_map(|text| font::glyphs(text));
    glyphs.map(|glyph| glyph.id).collect()
}

fn drawn(shape: &Shape, name: &str) -> String {
    let (segments, fill, stroke) = match shape {
        Shape::Text(text) => return lettered(text, name),
        Shape::Path {
            segments,
            fill,
            stroke,
        } => (segments, fill, stroke),
    };
    let mut paint = fill.map_or(" fill=\"none\"".to_owned(), |fill| {
        let opacity = match fill.opacity {
            1.0 => String::new(),
            part => format!(" fill-opacity=\"{}\"", number(part)),
        };
        let loops = segments.iter().filter(|s| matches!(s, Segment::Move(_)));
        let rule = if loops.count() > 1 {
            " fill-rule=\"evenodd\""
        } else {
            ""
        };
        format!(" fill=\"{}\"{opacity}{rule}", fill.colour)
    });
    if let Some(stroke) = stroke {
        let width = number(stroke.width);
        put!(
            &mut paint,
            " stroke=\"{}\" stroke-width=\"{width}\"",
            stroke.colour
        );
        if let Some([dash, gap]) = stroke.dashes().map(|d| d.map(number)) {
            put!(&mut paint, " stroke-dasharray=\"{dash} {gap}\"");
        }
    }
    format!("<path d=\"{}\"{paint}/>\n", data(segments))
}

/// `data-text` says what the outlines read.
fn lettered(text: &Text, name: &str) -> String {
    let (x, y) = (number(text.at.0), number(text.at.1));
    let scale = format!("{:.7}", text.size / font::units());
    let turn = if text.upright { " rotate(-90)" } else { "" };
    let mut svg = format!(
        "<g data-text=\"{}\" fill=\"{}\" transform=\"translate({x} {y}){turn} scale({scale} -{scale})\">",
        escaped(&text.text),
        text.colour
    );
    for (glyph, c) in font::glyphs(&text.text).iter().zip(text.text.chars()) {
        if !c.is_whitespace() {
            let (id, at) = (glyph.id, glyph.at);
            put!(&mut svg, "<use xlink:href=\"#{name}-g{id}\" x=\"{at}\"/>");
        }
    }
    svg + "</g>\n"
}

fn data(segments: &[Segment]) -> String {
    let mut text = String::new();
    let mut draw = |letter: char, points: &[(f64, f64)]| {
        text.push(letter);
        for (i, (x, y)) in points.iter().enumerate() {
            let space = if i > 0 { " " } else { "" };
            put!(&mut text, "{space}{} {}", number(*x), number(*y));
        }
    };
    for segment in segments {
        match *segment {
            Segment::Move(p) => draw('M', &[p]),
            Segment::Line(p) => draw('L', &[p]),
            Segment::Quad(a, p) => draw('Q', &[a, p]),
            Segment::Cubic(a, b, p) => draw('C', &[a, b, p]),
            Segment::Close => draw('Z', &[]),
        }
    }
    text
}

/// With two decimals at most: a hundredth of a point is not seen.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

fn escaped(text: &str) -> String {
    let entity = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        // No XML may hold these.
        c if c.is_control() => "\u{fffd}".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(entity).collect()
}
