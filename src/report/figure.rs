//! An exported drawing or picture as a figure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::svg::{self, Drawing};
use super::table::{ending, stem};

/// A figure as it is shown.
pub(super) struct Figure {
    /// Where it lies below the outputs of the profile.
    pub(super) path: String,
    /// Label of the node that made it.
    pub(super) node: String,
    /// What it shows, in words.
    pub(super) caption: String,
    pub(super) picture: Picture,
    /// Paths of the same figure in other formats.
    pub(super) others: Vec<String>,
}

/// How the page holds it.
pub(super) enum Picture {
    /// In the page itself.
    Drawing(Drawing),
    /// As an image in a `data:` address.
    Image(String),
}

impl Figure {
    /// The figure of an SVG or PNG file. `id` is unique in the page.
    pub(super) fn read(path: &str, node: &str, id: &str, bytes: &[u8]) -> Self {
        let is_drawing = ending(path) == "svg";
        let text = if is_drawing {
            String::from_utf8_lossy(bytes)
        } else {
            "".into()
        };
        let media = if is_drawing {
            "image/svg+xml"
        } else {
            "image/png"
        };
        let picture = match svg::read(&text, id) {
            Some(drawing) => Picture::Drawing(drawing),
            None => Picture::Image(data_address(media, bytes)),
        };
        Self {
            path: path.to_owned(),
            node: node.to_owned(),
            caption: caption(path, svg::title(&text)),
            picture,
            others: Vec::new(),
        }
    }
}

/// A file inside an address.
pub(super) fn data_address(media: &str, bytes: &[u8]) -> String {
    format!("data:{media};base64,{}", BASE64_STANDARD.encode(bytes))
}

/// What the figures of the built-in stage show; others say it themselves or have only a name.
fn caption(path: &str, title: Option<String>) -> String {
    let known = match stem(path) {
        "law" => {
            "The fitted law over parameters and training steps as filled contours, with the measured cells as dots."
        }
        "grid" => {
            "Every measured compression ratio: sizes by checkpoints, a panel for each modality."
        }
        "curves" => {
            "Measured ratios against parameters and against training steps, with the fitted law as lines."
        }
        "residuals" => "What the law leaves over: measured ratio minus fitted ratio, cell by cell.",
        "exponents" => "The exponents of the law with their 95 % intervals.",
        "chunks" => "How ratios are spread over the chunks of a cell.",
        "compute" => "Compression ratio against training compute.",
        name => return title.unwrap_or_else(|| name.to_owned()),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_that_is_more_than_shapes_is_an_image() {
        let svg = b"<svg width='1' height='1' xmlns='http://www.w3.org/2000/svg'><title>My plot</title><style>*{}</style></svg>";
        let figure = Figure::read("a/mine.svg", "plot", "f1", svg);
        assert_eq!(figure.caption, "My plot");
        let Picture::Image(address) = figure.picture else {
            panic!("it is an image");
        };
        assert!(
            address.starts_with("data:image/svg+xml;base64,PHN2Zy"),
            "{address}"
        );
    }
}
