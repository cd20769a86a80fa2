//! The `aggregate` stage: one row per cell and protocol, with intervals over chunks.

use std::collections::{BTreeMap, BTreeSet};

use cpipe_data::observations::Observation;
use cpipe_data::scores::{self, ChunkScore, ModelFacts};
use cpipe_engine::spec::whole_number;
use cpipe_engine::stage::{
    InputNode, Inputs, OutputDir, OutputSpec, Report, Role, Roles, Stage, StageContext, StageError,
    StageId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bootstrap::{generator, interval, resample};
use crate::cells_report;
use crate::error::AnalysisError;
use crate::table::{self, ChunkRow};

/// Parameters of the `aggregate` stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateParams {
    /// Model → the size by which it is known.
    #[serde(default)]
    pub params_nominal: BTreeMap<String, f64>,
    /// Bootstrap resamples of the chunks behind each interval.
    #[serde(default = "default_bootstrap")]
    pub bootstrap: usize,
    /// Seed of the resampling.
    #[serde(default)]
    pub seed: u64,
}

fn default_bootstrap() -> usize {
    1000
}

/// Joins the scores of all cells into tables.
///
/// Input `scores`: nodes with the axes `model`, `step` and `modality`.
#[derive(Clone, Debug)]
pub struct Aggregate(AggregateParams);

/// The scores of one cell.
struct CellScores {
    model: String,
    step: u64,
    modality: String,
    facts: ModelFacts,
    rows: Vec<ChunkScore>,
}

impl Aggregate {
    /// Checks the parameters.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: AggregateParams) -> Result<Self, (String, String)> {
        if params.bootstrap == 0 {
            return Err(("bootstrap".into(), "at least one resample is needed".into()));
        }
        let wrong = params
            .params_nominal
            .iter()
            .find(|(_, p)| !p.is_finite() || **p <= 0.0);
        if let Some((model, size)) = wrong {
            let message = format!("the size of `{model}` is {size}, expected a number above 0");
            return Err(("params_nominal".into(), message));
        }
        Ok(Self(params))
    }

    /// One row for each protocol in a cell.
    fn observe(&self, cell: &CellScores, protocol: &str) -> Observation {
        let rows: Vec<&ChunkScore> = cell
            .rows
            .iter()
            .filter(|r| r.protocol == protocol)
            .collect();
        let kept: Vec<&ChunkScore> = rows.iter().copied().filter(|r| !r.dropped).collect();
        let parts = [
            protocol,
            &cell.model,
            &cell.step.to_string(),
            &cell.modality,
        ];
        let pooled = kept.iter().any(|r| r.pooled);
        let spread = Spread::of(&kept, pooled, self.0.bootstrap, self.0.seed, &parts);
        let sum = |value: fn(&ChunkScore) -> f64| kept.iter().map(|r| value(r)).sum::<f64>();
        let count = |value: fn(&ChunkScore) -> u64| rows.iter().map(|r| value(r)).sum::<u64>();
        Observation {
            model: cell.model.clone(),
            params_nominal: self.0.params_nominal.get(&cell.model).copied(),
            params_total: cell.facts.params_total,
            params_non_embedding: cell.facts.params_non_embedding,
            step: cell.step,
            modality: cell.modality.clone(),
            protocol: protocol.to_owned(),
            chunks: rows.len() as u64,
            cr: spread.average,
            cr_mean: spread.mean,
            cr_std: spread.std,
            cr_sem: spread.sem,
            cr_lo: spread.lo,
            cr_hi: spread.hi,
            cr_sum_ratio: pool(&kept),
            bits_per_byte: sum(|r| r.bits) / sum(|r| r.bytes_covered as f64),
            side_bits: sum(|r| r.side_bits),
            context_min: rows.iter().map(|r| r.context_min).min().unwrap_or_default(),
            context_mean: rows
                .iter()
                .map(|r| r.context_mean * r.tokens_scored as f64)
                .sum::<f64>()
                / rows.iter().map(|r| r.tokens_scored as f64).sum::<f64>(),
            tokens: count(|r| r.tokens),
            tokens_scored: count(|r| r.tokens_scored),
            dropped: (rows.len() - kept.len()) as u64,
            nan: rows.iter().filter(|r| r.nan > 0).count() as u64,
            floored: count(|r| r.floored),
        }
    }
}

/// Σ compressed bits / Σ raw bits.
fn pool(rows: &[&ChunkScore]) -> f64 {
    let sum = |value: fn(&ChunkScore) -> f64| rows.iter().map(|r| value(r)).sum::<f64>();
    sum(|r| r.compressed_bits) / sum(|r| r.raw_bits)
}

/// Average and spread of the per-chunk ratios.
struct Spread {
    /// As the protocol takes it.
    average: f64,
    mean: f64,
    std: f64,
    sem: f64,
    lo: f64,
    hi: f64,
}

impl Spread {
    fn of(
        rows: &[&ChunkScore],
        pooled: bool,
        replicates: usize,
        seed: u64,
        parts: &[&str],
    ) -> Self {
        let ratios: Vec<f64> = rows.iter().map(|r| r.cr).collect();
        let n = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / n;
        let squares: f64 = ratios.iter().map(|r| (r - mean) * (r - mean)).sum();
        let mut random = generator(seed, parts);
        let means = (0..replicates).filter(|_| !ratios.is_empty()).map(|_| {
            let drawn = resample(&mut random, ratios.len());
            if pooled {
                pool(&drawn.into_iter().map(|i| rows[i]).collect::<Vec<_>>())
            } else {
                drawn.into_iter().map(|i| ratios[i]).sum::<f64>() / n
            }
        });
        let (lo, hi) = interval(means.collect());
        Self {
            average: if pooled { pool(rows) } else { mean },
            mean,
            std: libm::sqrt(squares / n),
            sem: libm::sqrt(squares / (n - 1.0) / n),
            lo,
            hi,
        }
    }
}

fn read_cell(node: &InputNode) -> Result<CellScores, AnalysisError> {
    let axis = |name: &str| {
        node.cell.get(name).map(str::to_owned).ok_or_else(|| {
            AnalysisError::Cells(format!(
                "the scores of [{}] have no axis `{name}`",
                node.cell
            ))
        })
    };
    let file = |name: &str| {
        node.file(name)
            .map_err(|e| AnalysisError::Cells(e.to_string()))
    };
    let step = read_step(&axis("step")?)?;
    let path = file("model.json")?;
    let text = std::fs::read(path).map_err(|e| AnalysisError::io(path, e))?;
    let facts = serde_json::from_slice(&text)
        .map_err(|e| AnalysisError::Cells(format!("{}: {e}", path.display())))?;
    Ok(CellScores {
        model: axis("model")?,
        step,
        modality: axis("modality")?,
        facts,
        rows: scores::read(file("scores.parquet")?)?,
    })
}

/// The number that a value of the axis `step` is.
fn read_step(text: &str) -> Result<u64, AnalysisError> {
    let step = whole_number(text.strip_prefix("step").unwrap_or(text));
    step.and_then(|step| u64::try_from(step).ok())
        .ok_or_else(|| AnalysisError::Cells(format!("the step `{text}` is not a whole number")))
}

/// The same model must have the same size at every step.
fn check_sizes(cells: &[CellScores]) -> Result<(), AnalysisError> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for cell in cells {
        let found = cell.facts.params_total;
        let size = *sizes.entry(&cell.model).or_insert(found);
        if size != found {
            let model = &cell.model;
            let message =
                format!("model `{model}` has {size} parameters in one cell and {found} in another");
            return Err(AnalysisError::Cells(message));
        }
    }
    Ok(())
}

/// No two cells may be one: steps in two spellings, such as `'64'` and `'064'`, are one number.
fn check_repeats(cells: &[CellScores]) -> Result<(), AnalysisError> {
    let mut seen = BTreeSet::new();
    for cell in cells {
        let (model, step, modality) = (&cell.model, cell.step, &cell.modality);
        if !seen.insert((model, step, modality)) {
            let message = format!(
                "two cells are model `{model}` at step {step} for `{modality}`: \
                 the axis `step` has this step in two spellings; keep one of them"
            );
            return Err(AnalysisError::Cells(message));
        }
    }
    Ok(())
}

/// Protocols in the order in which the scores have them.
fn protocols(cells: &[CellScores]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in cells.iter().flat_map(|cell| &cell.rows) {
        if !names.contains(&row.protocol) {
            names.push(row.protocol.clone());
        }
    }
    names
}

impl Stage for Aggregate {
    fn id(&self) -> StageId {
        StageId {
            name: "aggregate".into(),
            version: 2,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[Role {
            name: "scores",
            many: true,
        }])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let names = cells_report::NAMES.into_iter();
        let names = names.chain(["chunks.parquet"]);
        names.map(OutputSpec::file).collect()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        _context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let nodes = inputs.many("scores");
        let cells: Vec<CellScores> = nodes.iter().map(read_cell).collect::<Result<_, _>>()?;
        check_sizes(&cells)?;
        check_repeats(&cells)?;
        let protocols = protocols(&cells);
        let modalities: Vec<&str> = {
            let mut names: Vec<&str> = Vec::new();
            for cell in &cells {
                if !names.contains(&cell.modality.as_str()) {
                    names.push(&cell.modality);
                }
            }
            names
        };
        let place = |r: &Observation| {
            let protocol = protocols.iter().position(|p| *p == r.protocol);
            let modality = modalities.iter().position(|m| *m == r.modality);
            (
                protocol,
                modality,
                r.params_non_embedding,
                r.model.clone(),
                r.step,
            )
        };
        let mut rows: Vec<Observation> = cells
            .iter()
            .flat_map(|cell| protocols.iter().map(|p| self.observe(cell, p)))
            .collect();
        rows.sort_by_key(place);
        cells_report::write(&rows, outputs)?;
        let chunk_rows: Vec<ChunkRow<'_>> = cells
            .iter()
            .flat_map(|cell| {
                cell.rows.iter().map(|score| ChunkRow {
                    model: &cell.model,
                    step: cell.step,
                    modality: &cell.modality,
                    score,
                })
            })
            .collect();
        table::write_chunks(&chunk_rows, &outputs.path("chunks.parquet"))?;
        Ok(Report::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_the_pipeline_file_is() {
        for text in [
            "1000", "step1000", "1_000", "1e3", "01000", "0x3E8", "1000.0",
        ] {
            assert_eq!(read_step(text).expect(text), 1000);
        }
        for text in [
            "",
            "step",
            "-1",
            "1.5",
            "one",
            "18446744073709551616",
            "step 1",
        ] {
            assert!(read_step(text).is_err(), "{text}");
        }
    }

    fn cell(model: &str, step: u64) -> CellScores {
        CellScores {
            model: model.into(),
            step,
            modality: "text".into(),
            facts: ModelFacts {
                architecture: String::new(),
                params_total: 1,
                params_non_embedding: 1,
                context: 1,
                vocabulary: 1,
                dtype: String::new(),
            },
            rows: Vec::new(),
        }
    }

    #[test]
    fn one_step_in_two_spellings_is_refused() {
        assert!(check_repeats(&[cell("a", 64), cell("b", 64), cell("a", 65)]).is_ok());
        let said = check_repeats(&[cell("a", 64), cell("a", 64)]).map_err(|e| e.to_string());
        let message = said.expect_err("two cells are one");
        assert!(message.contains("model `a` at step 64"), "{message}");
    }
}
