//! Scenes as PDF 1.7 with one page: text as outlines, no fonts, no date, no id.
//!
//! Objects: 1 catalogue, 2 pages, 3 the page, 4 its content, 5 the document's title, then a graphics
//! state for each opacity.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::color::Colour;
use super::font;
use super::scene::{Fill, Point, Scene, Segment, Shape, Stroke, Text};
use super::svg::number;

const FIRST_STATE: usize = 6;

pub(super) fn write(scene: &Scene, caption: &str) -> Result<Vec<u8>, String> {
    let opacities = opacities(scene);
    let content = compressed(content(scene, &opacities).as_bytes()).map_err(|e| e.to_string())?;
    let (width, height) = (number(scene.size.0), number(scene.size.1));
    let mut states = String::new();
    for i in 0..opacities.len() {
        put!(&mut states, "/G{i} {} 0 R ", FIRST_STATE + i);
    }
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents 4 0 R \
             /Resources << /ExtGState << {states}>> >> >>"
        )
        .into_bytes(),
        stream(&content),
        format!("<< /Title {} >>", title(caption)).into_bytes(),
    ];
    let state = |opacity: &String| format!("<< /Type /ExtGState /ca {opacity} >>").into_bytes();
    objects.extend(opacities.iter().map(state));
    Ok(file(&objects))
}

/// The distinct opacities, as they are written.
fn opacities(scene: &Scene) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for shape in &scene.shapes {
        if let Shape::Path {
            fill: Some(fill), ..
        } = shape
        {
            let opacity = number(fill.opacity);
            if !found.contains(&opacity) {
                found.push(opacity);
            }
        }
    }
    found
}

fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn stream(content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!("<< /Length {length} /Filter /FlateDecode >>\nstream\n");
    [head.as_bytes(), content, b"\nendstream"].concat()
}

/// A text string in UTF-16, which PDF takes for any title.
fn title(caption: &str) -> String {
    let mut units = String::new();
    for unit in caption.encode_utf16() {
        put!(&mut units, "{unit:04X}");
    }
    format!("<FEFF{units}>")
}

/// Header, objects, cross-references, trailer.
fn file(objects: &[Vec<u8>]) -> Vec<u8> {
    // The second line has bytes above 127, so that nobody takes the file for text.
    let mut bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let count = objects.len() + 1;
    let mut table = format!("xref\n0 {count}\n0000000000 65535 f \n");
    for (i, object) in objects.iter().enumerate() {
        put!(&mut table, "{:010} 00000 n \n", bytes.len());
        bytes.extend(format!("{} 0 obj\n", i + 1).into_bytes());
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let start = bytes.len();
    bytes.extend(table.into_bytes());
    let trailer = format!(
        "trailer\n<< /Size {count} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{start}\n%%EOF\n"
    );
    bytes.extend(trailer.into_bytes());
    bytes
}

fn content(scene: &Scene, opacities: &[String]) -> String {
    let (width, height) = (number(scene.size.0), number(scene.size.1));
    let background = colour(scene.background);
    // PDF counts from the bottom, a scene from the top.
    let mut text =
        format!("{background} rg\n0 0 {width} {height} re f\nq 1 0 0 -1 0 {height} cm\n");
    for shape in &scene.shapes {
        match shape {
            Shape::Path {
                segments,
                fill,
                stroke,
            } => text += &path(segments, *fill, *stroke, opacities),
            Shape::Text(line) => text += &lettered(line),
        }
    }
    text + "Q\n"
}

fn path(
    segments: &[Segment],
    fill: Option<Fill>,
    stroke: Option<Stroke>,
    opacities: &[String],
) -> String {
    let mut text = String::from("q ");
    if let Some(fill) = fill {
        let opacity = number(fill.opacity);
        let state = opacities.iter().position(|o| *o == opacity);
        put!(&mut text, "/G{} gs ", state.unwrap_or_default());
        put!(&mut text, "{} rg ", colour(fill.colour));
    }
    if let Some(stroke) = stroke {
        put!(
            &mut text,
            "{} RG {} w ",
            colour(stroke.colour),
            number(stroke.width)
        );
        if let Some([dash, gap]) = stroke.dashes().map(|d| d.map(number)) {
            put!(&mut text, "[{dash} {gap}] 0 d ");
        }
    }
    text += &outline(segments);
    text + match (fill, stroke) {
        (Some(_), Some(_)) => "B* Q\n",
        (Some(_), None) => "f* Q\n",
        (None, Some(_)) => "S Q\n",
        (None, None) => "n Q\n",
    }
}

fn lettered(text: &Text) -> String {
    let (x, y) = (number(text.at.0), number(text.at.1));
    let scale = format!("{:.7}", text.size / font::units());
    let matrix = if text.upright {
        format!("0 -{scale} -{scale} 0 {x} {y}")
    } else {
        format!("{scale} 0 0 -{scale} {x} {y}")
    };
    let mut drawn = format!("q {matrix} cm {} rg\n", colour(text.colour));
    for glyph in font::glyphs(&text.text) {
        let at = f64::from(glyph.at);
        let segments: Vec<Segment> = font::outline(glyph.id)
            .into_iter()
            .map(|segment| moved(segment, at))
            .collect();
        drawn += &outline(&segments);
    }
    drawn + "f Q\n"
}

fn moved(segment: Segment, by: f64) -> Segment {
    let to = |(x, y): Point| (x + by, y);
    match segment {
        Segment::Move(p) => Segment::Move(to(p)),
        Segment::Line(p) => Segment::Line(to(p)),
        Segment::Quad(a, p) => Segment::Quad(to(a), to(p)),
        Segment::Cubic(a, b, p) => Segment::Cubic(to(a), to(b), to(p)),
        Segment::Close => Segment::Close,
    }
}

/// PDF knows cubic curves alone; a quadratic one is a cubic one exactly.
fn outline(segments: &[Segment]) -> String {
    let mut text = String::new();
    let mut last = (0.0, 0.0);
    let mut draw = |points: &[Point], operator: &str| {
        for (x, y) in points {
            put!(&mut text, "{} {} ", number(*x), number(*y));
        }
        text += operator;
        text.push('\n');
    };
    for segment in segments {
        match *segment {
            Segment::Move(p) => draw(&[p], "m"),
            Segment::Line(p) => draw(&[p], "l"),
            Segment::Quad(a, p) => {
                let toward = |from: Point| {
                    let part = |from: f64, to: f64| from + (to - from) * 2.0 / 3.0;
                    (part(from.0, a.0), part(from.1, a.1))
                };
                draw(&[toward(last), toward(p), p], "c");
            }
            Segment::Cubic(a, b, p) => draw(&[a, b, p], "c"),
            Segment::Close => draw(&[], "h"),
        }
        match *segment {
            Segment::Move(p) | Segment::Line(p) | Segment::Quad(_, p) | Segment::Cubic(_, _, p) => {
                last = p;
            }
            Segment::Close => {}
        }
    }
    text
}

fn colour(Colour(r, g, b): Colour) -> String {
    let part = |byte: u8| format!("{:.4}", f64::from(byte) / 255.0);
    format!("{} {} {}", part(r), part(g), part(b))
}
