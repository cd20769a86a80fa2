//! Nothing is clipped, nothing runs into anything.

use super::studies::{ALL, odd, params, plot, pythia, small};
use crate::plot::Plot;
use crate::plot::font::width;
use crate::plot::params::{FigureName, StyleName};
use crate::plot::scene::{Scene, Shape, Text};
use crate::plot::study::Study;

/// Left, top, right, bottom of the letters that most texts have.
fn area(text: &Text) -> [f64; 4] {
    let (x, y) = text.at;
    let long = width(&text.text, text.size);
    let (up, down) = (0.73 * text.size, 0.1 * text.size);
    if text.upright {
        [x - up, y - long, x + down, y]
    } else {
        [x, y - up, x + long, y + down]
    }
}

fn texts(scene: &Scene) -> Vec<&Text> {
    let texts = scene.shapes.iter().filter_map(|shape| match shape {
        Shape::Text(text) => Some(text),
        Shape::Path { .. } => None,
    });
    texts.collect()
}

fn check(scene: &Scene, at: &str) {
    let texts = texts(scene);
    assert!(!texts.is_empty(), "{at} says nothing");
    for (i, text) in texts.iter().enumerate() {
        let one = area(text);
        let [left, top, right, bottom] = one;
        let inside = left >= 0.0 && top >= 0.0 && right <= scene.size.0 && bottom <= scene.size.1;
        assert!(
            inside,
            "{at}: `{}` is clipped: {one:?} in {:?}",
            text.text, scene.size
        );
        for other in &texts[i + 1..] {
            let b = area(other);
            let apart = right <= b[0] + 0.1
                || b[2] <= left + 0.1
                || bottom <= b[1] + 0.1
                || b[3] <= top + 0.1;
            assert!(
                apart,
                "{at}: `{}` overlaps `{}`: {one:?} {b:?}",
                text.text, other.text
            );
        }
    }
}

fn check_all(name: &str, study: &Study, plot: &Plot, figures: &[FigureName]) {
    let panels = plot.panels(study);
    for figure in figures {
        check(
            &plot.scene(&panels, *figure),
            &format!("{} of {name}", figure.name()),
        );
    }
}

#[test]
fn no_text_is_clipped_or_overlaps_another() {
    for style in [StyleName::Paper, StyleName::Slide, StyleName::Dark] {
        check_all("small", &small(), &plot(style), &ALL);
        check_all("pythia", &pythia(), &plot(style), &ALL);
    }
    for (name, study) in odd() {
        check_all(name, &study, &plot(StyleName::Paper), &ALL);
    }
}

#[test]
fn narrow_and_low_pages_hold_it_too() {
    for (width, height) in [
        ("85mm", None),
        ("130mm", Some("90mm")),
        ("600mm", Some("200mm")),
    ] {
        let mut params = params(StyleName::Paper);
        params.size.width = Some(width.into());
        params.size.height = height.map(str::to_owned);
        let plot = Plot::new(params).expect("parameters");
        check_all(width, &pythia(), &plot, &ALL);
    }
}

#[test]
fn a_page_is_as_large_as_asked_for() {
    let mut params = params(StyleName::Paper);
    params.size.width = Some("8in".into());
    params.size.height = Some("9in".into());
    let (plot, study) = (Plot::new(params).expect("parameters"), small());
    for figure in ALL {
        let scene = plot.scene(&plot.panels(&study), figure);
        let (width, height) = scene.size;
        assert!((width - 576.0).abs() < 1e-6 && (height - 648.0).abs() < 1e-6);
    }
}

fn said(study: &Study, figure: FigureName) -> String {
    let plot = plot(StyleName::Paper);
    let scene = plot.scene(&plot.panels(study), figure);
    let all: Vec<&str> = texts(&scene).iter().map(|t| t.text.as_str()).collect();
    all.join(" ")
}

#[test]
fn a_figure_says_what_it_shows_and_what_is_missing() {
    let small = small();
    let law = said(&small, FigureName::Law);
    assert!(
        law.contains("CR = 0.150 + 2.00 P⁻⁰·²⁵⁰ + 1.50 S⁻⁰·⁶⁰⁰"),
        "{law}"
    );
    assert!(law.contains("R² = 0.988"), "{law}");
    let compute = said(&small, FigureName::Compute);
    assert!(compute.contains("C = 6·N·D"), "{compute}");
    assert!(compute.contains("D = S × 2048 tokens"), "{compute}");
    let odd = odd();
    let of = |name: &str, figure| {
        let (_, study) = odd.iter().find(|(n, _)| *n == name).expect("a study");
        said(study, figure)
    };
    for (name, figure, text) in [
        ("refused", FigureName::Law, "no fit: 3 distinct values"),
        ("refused", FigureName::Residuals, "no fit:"),
        (
            "refused",
            FigureName::Exponents,
            "no fit: 3 distinct values",
        ),
        ("refused", FigureName::Curves, "no fit:"),
        ("no-draws", FigureName::Curves, "No bands"),
        ("no-chunks", FigureName::Chunks, "no chunks:"),
        ("single", FigureName::Law, "no fit with P non-embedding"),
        ("single", FigureName::Compute, "too few for a power law"),
        (
            "nameless",
            FigureName::Law,
            "no parameters P (non-embedding) known",
        ),
        ("broken-law", FigureName::Law, "`Q`"),
        ("no-number", FigureName::Grid, "–"),
    ] {
        let said = of(name, figure);
        assert!(said.contains(text), "{name}, {}: {said}", figure.name());
    }
}
