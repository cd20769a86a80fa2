use std::collections::BTreeMap;

use cpipe_data::fit_report::{self, FitReport, Refusal};
use cpipe_data::law_report::{self, LawRefusal, LawReport};
use cpipe_data::observations::Observation;
use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Role, Roles, Stage, StageContext, StageError, StageId,
};
use serde_json::Value;

use super::additive::{self, NAME};
use super::group::Group;
use super::params::{FitParams, Resample};
use super::refits::ChunkRatios;
use super::report;
use crate::draws::{Draws, Kind};
use crate::laws::Law;
use crate::table::{self, ChunkRatio};

/// Fits laws to every group of cells.
///
/// Inputs `cells` (`cells.parquet`) and, to resample chunks, `chunks` (`chunks.parquet`). Outputs
/// `fits.{json,csv,md,tex}` with the law `additive`, `laws.{json,csv,md,tex}` with all laws, and
/// `draws.parquet` with every refit.
#[derive(Clone, Debug)]
pub struct Fit {
    params: FitParams,
    laws: Vec<Law>,
}

impl Fit {
    /// Checks the parameters.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: FitParams) -> Result<Self, (String, String)> {
        let laws = params.check()?;
        Ok(Self { params, laws })
    }

    fn found(
        &self,
        cells: &[Observation],
        chunks: &ChunksByCell,
        context: &StageContext<'_>,
    ) -> Result<(LawReport, Vec<Draws>), StageError> {
        let mut report = LawReport {
            version: law_report::VERSION,
            fits: Vec::new(),
            refused: Vec::new(),
        };
        let mut draws = Vec::new();
        let groups = groups(cells);
        let total = (groups.len() * self.params.conventions.len() * self.laws.len()) as u64;
        for (protocol, modality) in groups {
            let of_group = |c: &&Observation| c.protocol == protocol && c.modality == modality;
            let of_group: Vec<&Observation> = cells.iter().filter(of_group).collect();
            let ratios = ratios_of(chunks, &of_group);
            for convention in &self.params.conventions {
                let group = Group {
                    cells: of_group.clone(),
                    convention: *convention,
                    chunks: ratios.as_ref(),
                    threads: context.threads,
                };
                for law in &self.laws {
                    context.check_cancelled()?;
                    match group.fit(&self.params, law) {
                        Ok(fitted) => {
                            let fit = report.fits.len();
                            for (kind, rows) in [
                                (Kind::Bootstrap, fitted.bootstrap),
                                (Kind::Rounding, fitted.rounded),
                            ] {
                                draws.push(Draws::of(fit, &fitted.fit, kind, rows));
                            }
                            report.fits.push(fitted.fit);
                        }
                        Err(reason) => report.refused.push(LawRefusal {
                            protocol: protocol.to_owned(),
                            modality: modality.to_owned(),
                            convention: *convention,
                            law: law.name.clone(),
                            reason,
                        }),
                    }
                    let done = (report.fits.len() + report.refused.len()) as u64;
                    (context.progress)(done, total, "fits");
                }
            }
        }
        Ok((report, draws))
    }

    fn chunks(&self, inputs: &Inputs) -> Result<ChunksByCell, StageError> {
        match (self.params.resample, inputs.many("chunks")) {
            (Resample::Cells, _) => Ok(BTreeMap::new()),
            (Resample::Chunks, []) => Err(StageError::hinted(
                "`resample: chunks` draws from chunks, and there is no input `chunks`",
                "add `chunks: \"aggregate:chunks.parquet\"` to the stage's `needs`",
            )),
            (Resample::Chunks, _) => {
                let path = inputs.one("chunks")?.file("chunks.parquet")?;
                let mut chunks = ChunksByCell::new();
                for ChunkRatio { cell, chunk, ratio } in table::read_chunk_ratios(path)? {
                    chunks.entry(cell).or_default().push((chunk, ratio));
                }
                Ok(chunks)
            }
        }
    }
}

/// (protocol, modality, model, step) → (chunk, ratio) of the chunks that count.
type ChunksByCell = BTreeMap<(String, String, String, u64), Vec<(u64, f64)>>;

/// The chunks of each cell; none unless every cell has some.
fn ratios_of(chunks: &ChunksByCell, cells: &[&Observation]) -> Option<ChunkRatios> {
    let of_cell = |c: &&Observation| {
        let Observation {
            protocol,
            modality,
            model,
            step,
            ..
        } = *c;
        let key = (protocol.clone(), modality.clone(), model.clone(), *step);
        chunks.get(&key).cloned()
    };
    cells.iter().map(of_cell).collect()
}

/// (protocol, modality) in the order of the table.
fn groups(cells: &[Observation]) -> Vec<(&str, &str)> {
    let mut groups = Vec::new();
    for cell in cells {
        let group = (cell.protocol.as_str(), cell.modality.as_str());
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// The fits of the law `additive`, as the paper's table has them.
fn additive_fits(report: &LawReport) -> FitReport {
    let refused = report.refused.iter().filter(|r| r.law == NAME);
    FitReport {
        version: fit_report::VERSION,
        fits: report
            .fits
            .iter()
            .filter(|fit| fit.law == NAME)
            .filter_map(additive::row)
            .collect(),
        refused: refused
            .map(|r| Refusal {
                protocol: r.protocol.clone(),
                modality: r.modality.clone(),
                convention: r.convention,
                reason: r.reason.clone(),
            })
            .collect(),
    }
}

impl Stage for Fit {
    fn id(&self) -> StageId {
        StageId {
            name: "fit".into(),
            version: 3,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.params).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::WithOptional {
            required: &[Role {
                name: "cells",
                many: false,
            }],
            optional: &[Role {
                name: "chunks",
                many: false,
            }],
        }
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let names = report::NAMES.into_iter().chain(["draws.parquet"]);
        names.map(OutputSpec::file).collect()
    }

    fn resources(&self) -> cpipe_engine::Resources {
        cpipe_engine::Resources::any_cores()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let cells = table::read_cells(inputs.one("cells")?.file("cells.parquet")?)?;
        let chunks = self.chunks(inputs)?;
        let (report, draws) = self.found(&cells, &chunks, context)?;
        report::write(&additive_fits(&report), &report, outputs)?;
        table::write_draws(&draws, &outputs.path("draws.parquet"))?;
        Ok(Report::default())
    }
}
