//! Classical compressors beside models: the best one of a modality, as a line across its panel.

use std::path::Path;

use super::frame::Frame;
use super::scale::Linear;
use super::scene::{Scene, Stroke};
use super::study::{Panel, Study};
use super::style::Style;
use crate::csv_file::CsvFile;
use crate::error::AnalysisError;
use crate::text_table::significant;

/// What a compressor makes of the chunks of a modality.
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    pub(super) modality: String,
    pub(super) method: String,
    /// Mean compression ratio, the header counted once.
    pub(super) ratio: f64,
}

/// Reads `baselines.csv`.
pub(super) fn read(path: &Path) -> Result<Vec<Baseline>, AnalysisError> {
    let table = CsvFile::read(path)?;
    let place = |name: &str| {
        let missing = || AnalysisError::Csv(format!("the baselines have no column `{name}`"));
        table.place(name).ok_or_else(missing)
    };
    let (modality, method, ratio) = (place("modality")?, place("method")?, place("cr_mean")?);
    let row = |row: &crate::csv_file::Row| {
        let (text, line) = (&row.fields[ratio], row.line);
        let wrong = |_| AnalysisError::Csv(format!("line {line}: `{text}` is not a ratio"));
        Ok(Baseline {
            modality: row.fields[modality].clone(),
            method: row.fields[method].clone(),
            ratio: text.parse().map_err(wrong)?,
        })
    };
    table.rows.iter().map(row).collect()
}

/// The best compressor of a panel's modality, if its protocol scored all of every chunk: only then is the
/// ratio about the same bytes.
pub(super) fn best<'d>(study: &'d Study, panel: &Panel<'_>) -> Option<&'d Baseline> {
    let mut cells = panel.cells.iter();
    let whole = cells.all(|c| c.tokens > 0 && c.tokens_scored == c.tokens);
    let of_modality = study
        .baselines
        .iter()
        .filter(|b| whole && b.modality == panel.modality && b.ratio.is_finite());
    of_modality.min_by(|a, b| a.ratio.total_cmp(&b.ratio))
}

/// Its name and ratio, for the head of a panel.
pub(super) fn told(best: &Baseline) -> String {
    format!("dashed: {} {}", best.method, significant(best.ratio))
}

/// Draws it across a panel.
pub(super) fn draw(scene: &mut Scene, style: &Style, frame: Frame, y: &Linear, best: &Baseline) {
    let at = y.place(best.ratio);
    let stroke = Stroke::new(style.ink, 1.3 * style.hair).dashed();
    scene.line(&[(frame.left, at), (frame.right, at)], stroke);
}
