//! Committed figures: SVG letter by letter, PNG by how different it looks.
//!
//! `CPIPE_GOLDEN=update cargo test -p cpipe-analysis golden` rewrites them; look at them then, and
//! raise the stage's version.

use std::path::PathBuf;

use super::look::Image;
use super::studies::{ALL, params, small};
use crate::plot::Plot;
use crate::plot::params::{FigureName, Format, StyleName};

/// Small enough to be committed.
const DPI: f64 = 60.0;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/figures")
}

fn stage(style: StyleName) -> Plot {
    let mut params = params(style);
    params.size.width = Some("360pt".into());
    params.dpi = Some(DPI);
    Plot::new(params).expect("parameters")
}

fn drawn(style: StyleName, figure: FigureName, format: Format) -> Vec<u8> {
    let (stage, study) = (stage(style), small());
    let scene = stage.scene(&stage.panels(&study), figure);
    stage.bytes(&scene, (figure, format)).expect("written")
}

fn committed(name: &str, drawn: &[u8]) -> Vec<u8> {
    let path = folder().join(name);
    if std::env::var_os("CPIPE_GOLDEN").is_some() {
        std::fs::create_dir_all(folder()).expect("a folder");
        std::fs::write(&path, drawn).expect("written");
    }
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn svg_is_as_committed() {
    for figure in ALL {
        let drawn = drawn(StyleName::Paper, figure, Format::Svg);
        let name = format!("{}.svg", figure.name());
        let drawn_text = String::from_utf8(drawn.clone()).expect("text");
        let golden = String::from_utf8(committed(&name, &drawn)).expect("text");
        let mut pairs = golden.lines().zip(drawn_text.lines());
        if let Some((old, new)) = pairs.find(|(old, new)| old != new) {
            panic!("{name} differs first at\n{old}\nwhich now is\n{new}");
        }
        assert!(golden == drawn_text, "{name} ends elsewhere");
    }
}

#[test]
fn png_looks_as_committed() {
    for figure in ALL {
        let drawn = drawn(StyleName::Paper, figure, Format::Png);
        let name = format!("{}.png", figure.name());
        let golden = Image::decode(&committed(&name, &drawn));
        let difference = Image::decode(&drawn).difference(&golden);
        assert!(!difference.is_seen(), "{name}: {difference:?}");
    }
}

#[test]
fn a_change_that_an_eye_sees_is_told() {
    let png = drawn(StyleName::Paper, FigureName::Grid, Format::Png);
    let (one, mut other) = (Image::decode(&png), Image::decode(&png));
    assert!(!one.difference(&other).is_seen());
    // A mark of 6 × 6 pixels, less than a letter.
    for y in 40..46 {
        for x in 60..66 {
            other.pixels[(y * other.width + x) * 3] ^= 0x80;
        }
    }
    assert!(one.difference(&other).is_seen());
}

/// An SVG renderer that shares no code with the writers sees the same figure.
#[test]
fn svg_and_png_show_the_same() {
    for style in [StyleName::Paper, StyleName::Dark] {
        for figure in ALL {
            let svg = drawn(style, figure, Format::Svg);
            let png = Image::decode(&drawn(style, figure, Format::Png));
            let difference = rendered(&svg, &png).difference(&png);
            let close = difference.mean < 0.3 && difference.plain < 0.004;
            assert!(close, "{}: {difference:?}", figure.name());
        }
    }
}

/// Over the page's colour, since the last row of pixels may be covered in part.
fn rendered(svg: &[u8], like: &Image) -> Image {
    use resvg::{tiny_skia, usvg};
    let tree = usvg::Tree::from_data(svg, &usvg::Options::default()).expect("valid SVG");
    let (width, height) = (like.width, like.height);
    let mut pixmap = tiny_skia::Pixmap::new(width as u32, height as u32).expect("a size");
    let [r, g, b] = [0, 1, 2].map(|channel| like.pixels[channel]);
    pixmap.fill(tiny_skia::Color::from_rgba8(r, g, b, 255));
    // resvg takes a point for 4/3 pixels.
    let scale = (DPI / 96.0) as f32;
    let page = tiny_skia::Transform::from_scale(scale, scale);
    resvg::render(&tree, page, &mut pixmap.as_mut());
    let pixels = pixmap.data().chunks_exact(4);
    Image {
        width,
        height,
        pixels: pixels.flat_map(|p| [p[0], p[1], p[2]]).collect(),
    }
}
