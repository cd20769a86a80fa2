//! The `baselines` stage: a table of what classical methods come to, apart from the cells so that no
//! fit takes a compressor for a model.

use std::fmt::Write;

use cpipe_data::scores::{self, ChunkScore};
use cpipe_engine::stage::{
    InputNode, Inputs, OutputDir, OutputSpec, Report, Role, Roles, Stage, StageContext, StageError,
    StageId,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::AnalysisError;
use crate::text_table::TextTable;

/// What the `baseline` stage puts behind the name of a method that compressed all chunks as one.
const WHOLE: &str = ", whole";

/// Parameters of the `baselines` stage: none.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselinesParams {}

/// Joins the scores of baselines.
///
/// Input `scores`: nodes with the axis `modality`. Outputs `baselines.{csv,md,tex}`.
#[derive(Clone, Copy, Debug)]
pub struct Baselines;

/// A method on one modality.
struct Line {
    modality: String,
    method: String,
    chunks: usize,
    mean: f64,
    std: f64,
    whole: f64,
}

fn read(node: &InputNode) -> Result<Vec<Line>, AnalysisError> {
    let Some(modality) = node.cell.get("modality") else {
        let message = format!("the baselines of [{}] have no axis `modality`", node.cell);
        return Err(AnalysisError::Cells(message));
    };
    let path = node.file("scores.parquet");
    let rows = scores::read(path.map_err(|e| AnalysisError::Cells(e.to_string()))?)?;
    let wholes = rows.iter().filter(|row| row.protocol.ends_with(WHOLE));
    Ok(wholes.map(|whole| line(modality, whole, &rows)).collect())
}

fn line(modality: &str, whole: &ChunkScore, rows: &[ChunkScore]) -> Line {
    let method = whole.protocol.trim_end_matches(WHOLE);
    let each = rows.iter().filter(|row| row.protocol == method);
    let ratios: Vec<f64> = each.map(|row| row.cr).collect();
    let n = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / n;
    let squares: f64 = ratios.iter().map(|r| (r - mean) * (r - mean)).sum();
    Line {
        modality: modality.to_owned(),
        method: method.to_owned(),
        chunks: ratios.len(),
        mean,
        std: libm::sqrt(squares / n),
        whole: whole.cr,
    }
}

fn csv(lines: &[Line]) -> String {
    let mut text = "modality,method,chunks,cr_mean,cr_std,cr_whole\n".to_owned();
    for l in lines {
        let (modality, method) = (&l.modality, &l.method);
        writeln!(
            text,
            "{modality},{method},{},{},{},{}",
            l.chunks, l.mean, l.std, l.whole
        )
        .expect("writing to a string does not fail");
    }
    text
}

/// Methods by rows, and for each modality the mean over chunks and the whole by columns.
fn table(lines: &[Line]) -> TextTable {
    let mut modalities: Vec<&str> = Vec::new();
    let mut methods: Vec<&str> = Vec::new();
    for line in lines {
        for (names, name) in [
            (&mut modalities, &line.modality),
            (&mut methods, &line.method),
        ] {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let columns = modalities
        .iter()
        .flat_map(|m| [(*m).to_owned(), format!("{m}, whole")]);
    let row = |method: &&str| {
        let values = modalities.iter().flat_map(|modality| {
            let of = |l: &&Line| l.modality == *modality && l.method == *method;
            let found = lines.iter().find(of);
            let show = |value: Option<f64>| value.map_or("–".into(), |x| format!("{x:.4}"));
            [show(found.map(|l| l.mean)), show(found.map(|l| l.whole))]
        });
        std::iter::once((*method).to_owned())
            .chain(values)
            .collect()
    };
    TextTable {
        title: "Compression ratio of classical methods: mean over chunks with the header counted once, and all chunks as one file".into(),
        header: std::iter::once("method".to_owned()).chain(columns).collect(),
        rows: methods.iter().map(row).collect(),
    }
}

impl Stage for Baselines {
    fn id(&self) -> StageId {
        StageId {
            name: "baselines".into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        json!({})
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[Role {
            name: "scores",
            many: true,
        }])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let names = ["baselines.csv", "baselines.md", "baselines.tex"];
        names.into_iter().map(OutputSpec::file).collect()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        _context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let parts = inputs.many("scores").iter().map(read);
        let lines: Vec<Line> = parts
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect();
        let table = table(&lines);
        for (name, text) in [
            ("baselines.csv", csv(&lines)),
            ("baselines.md", table.markdown()),
            ("baselines.tex", table.latex()),
        ] {
            let path = outputs.path(name);
            std::fs::write(&path, text).map_err(|e| StageError::io(path, e))?;
        }
        Ok(Report::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        [
            ("text", "xz -6", 0.5, 0.3),
            ("text", "png", 0.9, 0.8),
            ("image", "xz -6", 0.7, 0.6),
        ]
        .map(|(modality, method, mean, whole)| Line {
            modality: modality.into(),
            method: method.into(),
            chunks: 4,
            mean,
            std: 0.1,
            whole,
        })
        .into()
    }

    #[test]
    fn modalities_stand_side_by_side() {
        let text = table(&lines()).markdown();
        assert!(
            text.contains("| method | text | text, whole | image | image, whole |"),
            "{text}"
        );
        assert!(
            text.contains("| xz -6 | 0.5000 | 0.3000 | 0.7000 | 0.6000 |"),
            "{text}"
        );
        assert!(text.contains("| png | 0.9000 | 0.8000 | – | – |"), "{text}");
    }

    #[test]
    fn the_csv_has_a_line_for_each_method_and_modality() {
        assert!(csv(&lines()).ends_with("\nimage,xz -6,4,0.7,0.1,0.6\n"));
    }
}
