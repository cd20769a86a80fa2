//! Drawings that go into the page itself.
//!
//! A drawing that is nothing but shapes is written again, element by element, with its ids made its
//! own and its coordinates to a hundredth of a pixel. One with anything else in it (a style sheet, a
//! script, a picture from elsewhere) is not: it is shown as an image, in which nothing can run.

use std::fmt::Write;

use roxmltree::{Attribute, Document, Node};

/// Elements that draw or group and do nothing else.
const ELEMENTS: [&str; 21] = [
    "svg",
    "g",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
    "defs",
    "clipPath",
    "mask",
    "linearGradient",
    "radialGradient",
    "stop",
    "use",
    "marker",
    "title",
    "desc",
];

/// A drawing that can go into the page.
pub(super) struct Drawing {
    /// What stands in the `<svg>`, which the page writes itself.
    pub(super) inner: String,
    /// Width and height in its own units.
    pub(super) size: (f64, f64),
}

/// Reads a drawing; none if it is more than shapes, or no SVG. Ids begin with `prefix` then.
pub(super) fn read(text: &str, prefix: &str) -> Option<Drawing> {
    let document = Document::parse(text).ok()?;
    let root = document.root_element();
    if root.tag_name().name() != "svg" {
        return None;
    }
    let mut inner = String::new();
    for child in root.children() {
        write(child, prefix, &mut inner)?;
    }
    Some(Drawing {
        inner,
        size: size(root)?,
    })
}

/// The title of any drawing.
pub(super) fn title(text: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let root = document.root_element();
    let title = root
        .children()
        .find(|n| n.has_tag_name((SVG, "title")) || n.has_tag_name("title"))?;
    title.text().map(|text| text.trim().to_owned())
}

const SVG: &str = "http://www.w3.org/2000/svg";

/// From the view box, else from width and height.
fn size(root: Node<'_, '_>) -> Option<(f64, f64)> {
    if let Some(view) = root.attribute("viewBox") {
        let numbers: Vec<f64> = view
            .split([' ', ','])
            .filter_map(|n| n.parse().ok())
            .collect();
        // Another origin than 0 would need a shift; such drawings are shown as images.
        return match numbers[..] {
            [0.0, 0.0, width, height] => Some((width, height)),
            _ => None,
        };
    }
    let length = |name| {
        let text = root.attribute(name)?;
        text.strip_suffix("px").unwrap_or(text).parse().ok()
    };
    Some((length("width")?, length("height")?))
}

fn write(node: Node<'_, '_>, prefix: &str, out: &mut String) -> Option<()> {
    if node.is_text() {
        escape(node.text().unwrap_or_default().trim(), out);
        return Some(());
    }
    if !node.is_element() {
        return Some(());
    }
    let name = node.tag_name().name();
    if !ELEMENTS.contains(&name) {
        return None;
    }
    // The page names the drawing as a whole; a title inside would pop up over every part.
    if matches!(name, "title" | "desc") {
        return Some(());
    }
    out.extend(["<", name]);
    for attribute in node.attributes() {
        write_attribute(attribute, prefix, out)?;
    }
    if !node.has_children() {
        out.push_str("/>");
        return Some(());
    }
    out.push('>');
    for child in node.children() {
        write(child, prefix, out)?;
    }
    out.extend(["</", name, ">"]);
    Some(())
}

fn write_attribute(attribute: Attribute<'_, '_>, prefix: &str, out: &mut String) -> Option<()> {
    let (name, value) = (attribute.name(), attribute.value());
    let value = match name {
        "class" => return Some(()),
        "id" => format!("{prefix}-{value}"),
        "href" => format!("#{prefix}-{}", value.strip_prefix('#')?),
        "d" | "points" => rounded(value),
        _ if name.starts_with("on") || value.contains(['\\', '@']) => return None,
        _ => value.replace("url(#", &format!("url(#{prefix}-")),
    };
    if value.matches("url(").count() != value.matches(&format!("url(#{prefix}-")).count() {
        return None;
    }
    out.extend([" ", name, "=\""]);
    escape(&value, out);
    out.push('"');
    Some(())
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// A path with every number to two decimals: half the bytes, and nothing that can be seen. The
/// flags of arcs may stand without spaces, so that paths with arcs are left alone.
fn rounded(path: &str) -> String {
    if path.contains(['a', 'A']) {
        return path.to_owned();
    }
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    let mut after_number = false;
    while !rest.is_empty() {
        let length = number_length(rest);
        let (token, tail) =
            rest.split_at(length.max(rest.chars().next().map_or(1, char::len_utf8)));
        match token.parse::<f64>() {
            Ok(value) if length > 0 => {
                if after_number {
                    out.push(' ');
                }
                push_number(value, &mut out);
            }
            _ => out.push_str(token),
        }
        after_number = length > 0;
        rest = tail;
    }
    out
}

/// Bytes of the number that the text begins with, such as `-12.5` or `1e-5`.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mut point = false;
    let mut end = sign;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'0'..=b'9' => {}
            b'.' if !point => point = true,
            _ => break,
        }
        end += 1;
    }
    if end == sign {
        return 0;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        end += 1 + usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        end += bytes[end..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
    }
    end
}

fn push_number(value: f64, out: &mut String) {
    let start = out.len();
    // Writing to a string does not fail.
    let _ = write!(out, "{value:.2}");
    let kept = out.trim_end_matches('0').trim_end_matches('.').len();
    out.truncate(kept.max(start + 1));
    if &out[start..] == "-0" {
        out.truncate(start);
        out.push('0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r##"<svg width="10" height="5px" xmlns="http://www.w3.org/2000/svg">
      <title>A &lt; B</title><defs><clipPath id="c"><rect width="1" height="2"/></clipPath></defs>
      <g clip-path="url(#c)" class="x"><path d="M 1.23456 -0.001 L 100 20.5 Z"/><use href="#c"/></g></svg>"##;

    #[test]
    fn ids_are_made_its_own() {
        let drawing = read(PLAIN, "f1").unwrap();
        assert_eq!(title(PLAIN).as_deref(), Some("A < B"));
        assert_eq!(drawing.size, (10.0, 5.0));
        for part in [
            "id=\"f1-c\"",
            "url(#f1-c)",
            "href=\"#f1-c\"",
            "M 1.23 0 L 100 20.5 Z",
        ] {
            assert!(drawing.inner.contains(part), "{part}: {}", drawing.inner);
        }
        assert!(!drawing.inner.contains("class"));
    }

    #[test]
    fn what_could_do_something_is_not_written_again() {
        for inside in [
            "<script>alert(1)</script>",
            "<rect onload=\"alert(1)\"/>",
            "<style>*{display:none}</style>",
            "<image href=\"https://x.org/p.png\"/>",
            "<rect fill=\"url(https://x.org/a.svg#b)\"/>",
            "<use href=\"https://x.org/a.svg#b\"/>",
            "<foreignObject><p/></foreignObject>",
        ] {
            let text = format!("<svg width=\"1\" height=\"1\" xmlns=\"{SVG}\">{inside}</svg>");
            assert!(read(&text, "f1").is_none(), "{inside}");
        }
        assert!(read("<svg><g></svg>", "f1").is_none());
        assert!(read("<html/>", "f1").is_none());
    }

    #[test]
    fn paths_stay_the_same_paths() {
        assert_eq!(rounded("M1e-5,2.999 l-0.004.5-7"), "M0,3 l0 0.5 -7");
        assert_eq!(rounded("a1 1 0 01.5.5"), "a1 1 0 01.5.5");
    }
}
