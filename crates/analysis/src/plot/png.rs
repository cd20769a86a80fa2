//! Scenes as pixels.

use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, StrokeDash, Transform,
};

use super::color::Colour;
use super::font;
use super::scene::{Scene, Segment, Shape, Stroke, Text};

/// Draws at `dpi` pixels an inch, as a PNG without transparency.
pub(super) fn write(scene: &Scene, dpi: f64) -> Result<Vec<u8>, String> {
    let pixmap = rasterise(scene, dpi).ok_or("the page has no size or is too large")?;
    let (width, height) = (pixmap.width(), pixmap.height());
    // The page is opaque, so that alpha says nothing.
    let pixels: Vec<u8> = pixmap
        .data()
        .chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let metre = (dpi / 0.0254) as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: metre,
        yppu: metre,
        unit: png::Unit::Meter,
    }));
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&pixels)?;
        writer.finish()
    });
    written.map_err(|e| e.to_string())?;
    Ok(bytes)
}

fn rasterise(scene: &Scene, dpi: f64) -> Option<Pixmap> {
    let scale = dpi / 72.0;
    let pixels = |points: f64| libm::ceil(points * scale - 1e-6) as u32;
    let mut pixmap = Pixmap::new(pixels(scene.size.0), pixels(scene.size.1))?;
    let Colour(r, g, b) = scene.background;
    pixmap.fill(Color::from_rgba8(r, g, b, 255));
    let page = Transform::from_scale(scale as f32, scale as f32);
    for shape in &scene.shapes {
        draw(&mut pixmap, shape, page);
    }
    Some(pixmap)
}

fn draw(pixmap: &mut Pixmap, shape: &Shape, page: Transform) {
    match shape {
        Shape::Text(text) => write_text(pixmap, text, page),
        Shape::Path {
            segments,
            fill,
            stroke,
        } => {
            let Some(path) = path(segments) else { return };
            if let Some(fill) = fill {
                let paint = paint(fill.colour, fill.opacity);
                pixmap.fill_path(&path, &paint, FillRule::EvenOdd, page, None);
            }
            if let Some(stroke) = stroke {
                let paint = paint(stroke.colour, 1.0);
                pixmap.stroke_path(&path, &paint, &pen(stroke), page, None);
            }
        }
    }
}

fn pen(stroke: &Stroke) -> tiny_skia::Stroke {
    let dashes = stroke.dashes().map(|d| d.map(|d| d as f32).to_vec());
    tiny_skia::Stroke {
        width: stroke.width as f32,
        line_join: LineJoin::Miter,
        dash: dashes.and_then(|dashes| StrokeDash::new(dashes, 0.0)),
        ..tiny_skia::Stroke::default()
    }
}

fn write_text(pixmap: &mut Pixmap, text: &Text, page: Transform) {
    let scale = (text.size / font::units()) as f32;
    let turn = if text.upright { -90.0 } else { 0.0 };
    let line = page
        .pre_translate(text.at.0 as f32, text.at.1 as f32)
        .pre_rotate(turn)
        .pre_scale(scale, -scale);
    let paint = paint(text.colour, 1.0);
    for glyph in font::glyphs(&text.text) {
        if let Some(outline) = path(&font::outline(glyph.id)) {
            let at = line.pre_translate(glyph.at as f32, 0.0);
            pixmap.fill_path(&outline, &paint, FillRule::Winding, at, None);
        }
    }
}

fn paint(Colour(r, g, b): Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, libm::round(opacity * 255.0) as u8);
    paint
}

fn path(segments: &[Segment]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for segment in segments {
        let f = |(x, y): (f64, f64)| (x as f32, y as f32);
        match *segment {
            Segment::Move(p) => builder.move_to(f(p).0, f(p).1),
            Segment::Line(p) => builder.line_to(f(p).0, f(p).1),
            Segment::Quad(a, p) => builder.quad_to(f(a).0, f(a).1, f(p).0, f(p).1),
            Segment::Cubic(a, b, p) => {
                builder.cubic_to(f(a).0, f(a).1, f(b).0, f(b).1, f(p).0, f(p).1);
            }
            Segment::Close => builder.close(),
        }
    }
    builder.finish()
}
