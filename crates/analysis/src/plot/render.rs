//! From drawn SVG to files: text as outlines, and the same tree as PNG.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Options, Tree, WriteOptions, fontdb};

use crate::error::AnalysisError;

/// Name of the font that figures are drawn with.
pub(super) const FONT: &str = "DejaVu Sans";
const FONT_BYTES: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
/// PNG pixels per SVG unit.
const SCALE: f32 = 2.0;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT_BYTES.to_vec());
    Arc::new(fonts)
});

/// Writes NAME.svg and NAME.png.
pub(super) fn write(
    figure: &'static str,
    title: &str,
    svg: &str,
    svg_path: &Path,
    png_path: &Path,
) -> Result<(), AnalysisError> {
    let failed = |reason: String| AnalysisError::Figure { figure, reason };
    let options = Options {
        fontdb: Arc::clone(&FONTS),
        font_family: FONT.into(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| failed(e.to_string()))?;
    let outlined = with_title(&tree.to_string(&WriteOptions::default()), title);
    std::fs::write(svg_path, outlined).map_err(|e| AnalysisError::io(svg_path, e))?;
    let png = rasterise(&tree).ok_or_else(|| failed("it has no size".to_owned()))?;
    let bytes = png.encode_png().map_err(|e| failed(e.to_string()))?;
    std::fs::write(png_path, bytes).map_err(|e| AnalysisError::io(png_path, e))
}

/// Outlines can't be read aloud: the title says what the figure is.
fn with_title(svg: &str, title: &str) -> String {
    match svg.split_once('>') {
        Some((head, rest)) => format!("{head}>\n    <title>{title}</title>{rest}"),
        None => svg.to_owned(),
    }
}

fn rasterise(tree: &usvg::Tree) -> Option<Pixmap> {
    let size = tree.size().to_int_size().scale_by(SCALE)?;
    let mut pixmap = Pixmap::new(size.width(), size.height())?;
    resvg::render(
        tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixmap.as_mut(),
    );
    Some(pixmap)
}
