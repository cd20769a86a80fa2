//! What is in the files.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::look::Image;
use super::studies::{ALL, odd, plot, small};
use crate::plot::params::{Format, StyleName};
use crate::plot::study::Study;

fn bytes(study: &Study, format: Format) -> Vec<(String, Vec<u8>, (f64, f64))> {
    let plot = plot(StyleName::Paper);
    let panels = plot.panels(study);
    let of = |figure| {
        let scene = plot.scene(&panels, figure);
        let bytes = plot.bytes(&scene, (figure, format)).expect("written");
        (figure.name().to_owned(), bytes, scene.size)
    };
    ALL.map(of).into()
}

#[test]
fn files_hold_no_font_and_no_number_that_is_none() {
    let studies = odd().into_iter().chain([("small", small())]);
    for (name, study) in studies {
        for (figure, svg, _) in bytes(&study, Format::Svg) {
            let svg = String::from_utf8(svg).expect("text");
            let at = format!("{figure} of {name}");
            for word in ["<text", "font-family", "\"NaN", " NaN", "inf "] {
                let drawn = svg.split("data-text=\"").map(|s| s.split_once('"'));
                let drawn = drawn.filter_map(|s| s.map(|(_, rest)| rest));
                assert!(drawn.clone().all(|s| !s.contains(word)), "{at} has {word}");
            }
            assert!(svg.contains("<title>") && svg.contains("<path"), "{at}");
            resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default())
                .unwrap_or_else(|e| panic!("{at}: {e}"));
        }
        for (figure, pdf, size) in bytes(&study, Format::Pdf) {
            check_pdf(&pdf, size, &format!("{figure} of {name}"));
        }
    }
}

#[test]
fn a_png_has_the_page_s_size() {
    for (figure, png, (width, height)) in bytes(&small(), Format::Png) {
        let image = Image::decode(&png);
        let pixels = |points: f64| (points / 72.0 * 200.0 - 1e-6).ceil() as usize;
        let size = (pixels(width), pixels(height));
        assert_eq!((image.width, image.height), size, "{figure}");
    }
}

/// Reads a PDF from its end, as viewers do: the cross-references lead to every object, there is one
/// page of the right size, and its content unpacks.
fn check_pdf(pdf: &[u8], (width, height): (f64, f64), at: &str) {
    let text = String::from_utf8_lossy(pdf);
    assert!(
        text.starts_with("%PDF-1.7\n") && text.ends_with("%%EOF\n"),
        "{at}"
    );
    let start = text
        .rsplit("startxref\n")
        .next()
        .and_then(|s| s.lines().next());
    let start: usize = start.expect("a place").parse().expect("a number");
    let table = std::str::from_utf8(&pdf[start..]).expect("text");
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("xref"), "{at}");
    let count: usize = lines.next().expect("a range")[2..]
        .parse()
        .expect("a number");
    assert_eq!(lines.next(), Some("0000000000 65535 f "));
    let object = |place: usize| -> &[u8] { &pdf[place..] };
    let mut places = Vec::new();
    for (i, line) in lines.take(count - 1).enumerate() {
        assert_eq!(line.len(), 19, "{at}: entries have 20 bytes with their end");
        let place: usize = line[..10].parse().expect("a place");
        let head = format!("{} 0 obj\n", i + 1);
        assert!(object(place).starts_with(head.as_bytes()), "{at}: {head}");
        places.push(place);
    }
    assert_eq!(text.matches("/Type /Page ").count(), 1, "{at}");
    assert!(!text.contains("/Font") && !text.contains("Date") && !text.contains("/ID"));
    let media = text.split("/MediaBox [0 0 ").nth(1).expect("a page");
    let media: Vec<f64> = media
        .split(']')
        .next()
        .expect("its end")
        .split(' ')
        .map(|n| n.parse().expect("a number"))
        .collect();
    assert!(
        (media[0] - width).abs() < 0.01 && (media[1] - height).abs() < 0.01,
        "{at}"
    );
    let content = content(object(places[3]));
    let count = |operator: &str| {
        content
            .split_whitespace()
            .filter(|w| *w == operator)
            .count()
    };
    assert!(count("q") > 3 && count("q") == count("Q"), "{at}");
    assert!(!content.contains("NaN") && !content.contains("inf"), "{at}");
}

fn content(object: &[u8]) -> String {
    let head = b"stream\n";
    let start = object
        .windows(head.len())
        .position(|w| w == head)
        .expect("a stream");
    let mut content = String::new();
    let mut packed = ZlibDecoder::new(&object[start + head.len()..]);
    packed.read_to_string(&mut content).expect("it unpacks");
    content
}
