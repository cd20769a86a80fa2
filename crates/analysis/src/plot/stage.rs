use std::path::Path;
use std::sync::Mutex;

use cpipe_data::fit_report::FitReport;
use cpipe_data::law_report::LawReport;
use cpipe_engine::stage::{
    InputNode, Inputs, OutputDir, OutputSpec, Report, Resources, Role, Roles, Stage, StageContext,
    StageError, StageId,
};
use serde_json::Value;

use super::page::Page;
use super::params::{FigureName, Format, PlotParams};
use super::scene::Scene;
use super::study::{Panels, Study};
use super::style::Style;
use super::{baselines, chunks, compute, curves, exponents, heat, law, pdf, png, svg};
use crate::error::AnalysisError;
use crate::fit::as_laws;
use crate::table;

/// Draws the figures.
///
/// Inputs `cells` (`cells.parquet`), `fits` (`laws.json` and `draws.parquet`; of `fits.json` alone,
/// figures without bands); for the figure `chunks`, `chunks` (`chunks.parquet`); for a line in `curves`,
/// `baselines` (`baselines.csv`). Outputs `FIGURE.FORMAT` for all figures and formats.
#[derive(Clone, Debug)]
pub struct Plot(PlotParams);

impl Plot {
    /// Checks the parameters.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: PlotParams) -> Result<Self, (String, String)> {
        params.check()?;
        Ok(Self(params))
    }

    fn jobs(&self) -> Vec<(FigureName, Format)> {
        let figures = self.0.figures.iter();
        figures
            .flat_map(|figure| self.0.formats.iter().map(|format| (*figure, *format)))
            .collect()
    }

    pub(super) fn scene(&self, panels: &Panels<'_>, figure: FigureName) -> Scene {
        let (width, height) = self.0.page(figure);
        let page = Page {
            style: Style::named(self.0.style),
            width,
            height,
        };
        match figure {
            FigureName::Law => law::figure(panels, &page),
            FigureName::Grid => heat::grid(panels, &page),
            FigureName::Residuals => heat::residuals(panels, &page),
            FigureName::Curves => curves::figure(panels, &page),
            FigureName::Exponents => exponents::figure(panels, &page),
            FigureName::Chunks => chunks::figure(panels, &page),
            FigureName::Compute => compute::figure(panels, &page),
        }
    }

    pub(super) fn panels<'d>(&self, study: &'d Study) -> Panels<'d> {
        Panels::of(study, &self.0)
    }

    pub(super) fn bytes(
        &self,
        scene: &Scene,
        (figure, format): (FigureName, Format),
    ) -> Result<Vec<u8>, AnalysisError> {
        let failed = |reason: String| AnalysisError::Figure {
            figure: figure.name(),
            reason,
        };
        let caption = caption(figure);
        match format {
            Format::Svg => Ok(svg::write(scene, figure.name(), caption).into_bytes()),
            Format::Pdf => pdf::write(scene, caption).map_err(failed),
            Format::Png => {
                let dpi = self.0.dpi.unwrap_or(Style::named(self.0.style).dpi);
                png::write(scene, dpi).map_err(failed)
            }
        }
    }
}

/// What a figure shows, for those who can't see it.
fn caption(figure: FigureName) -> &'static str {
    match figure {
        FigureName::Law => "The fitted law CR(P, S) as filled contours with the measured cells",
        FigureName::Grid => "Measured compression ratios by model and training step",
        FigureName::Residuals => {
            "Measured minus fitted compression ratios by model and training step"
        }
        FigureName::Curves => "Compression ratio against parameters and against training step",
        FigureName::Exponents => "Exponents of all fitted laws with their 95 % intervals",
        FigureName::Chunks => "Compression ratios of single chunks by model and training step",
        FigureName::Compute => "Compression ratio against training compute, with its front",
    }
}

fn study(inputs: &Inputs) -> Result<Study, StageError> {
    let cells = table::read_cells(inputs.one("cells")?.file("cells.parquet")?)?;
    if cells.is_empty() {
        let message = "there are no cells to draw";
        return Err(StageError::failed(message));
    }
    let fits = inputs.one("fits")?;
    let chunks = optional(inputs, "chunks", "chunks.parquet")?;
    let baselines = optional(inputs, "baselines", "baselines.csv")?;
    let draws = match given(fits, "draws.parquet")? {
        Some(path) => table::read_draws(path)?,
        None => Vec::new(),
    };
    Ok(Study {
        cells,
        laws: laws(fits)?,
        draws,
        chunks: chunks.map(table::read_chunk_ratios).transpose()?,
        baselines: baselines.map_or(Ok(Vec::new()), baselines::read)?,
    })
}

/// A file of an input that need not be there.
fn optional<'i>(
    inputs: &'i Inputs,
    role: &str,
    file: &str,
) -> Result<Option<&'i Path>, StageError> {
    let fed = !inputs.many(role).is_empty();
    fed.then(|| inputs.one(role)?.file(file)).transpose()
}

/// The file of an output, where the input has it.
fn given<'i>(node: &'i InputNode, name: &str) -> Result<Option<&'i Path>, StageError> {
    let there = node.outputs.contains_key(name);
    there.then(|| node.file(name)).transpose()
}

fn laws(fits: &InputNode) -> Result<LawReport, StageError> {
    let report = match (given(fits, "laws.json")?, given(fits, "fits.json")?) {
        (Some(path), _) => LawReport::read(path).map_err(AnalysisError::from)?,
        (None, Some(path)) => as_laws(&FitReport::read(path).map_err(AnalysisError::from)?),
        (None, None) => {
            return Err(StageError::hinted(
                "the input `fits` has neither laws.json nor fits.json",
                "write `fits: fit` under the stage's `needs`, with the name of the fit stage",
            ));
        }
    };
    Ok(report)
}

impl Stage for Plot {
    fn id(&self) -> StageId {
        StageId {
            name: "plot".into(),
            version: 4,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::WithOptional {
            required: &[
                Role {
                    name: "cells",
                    many: false,
                },
                Role {
                    name: "fits",
                    many: false,
                },
            ],
            optional: &[
                Role {
                    name: "chunks",
                    many: false,
                },
                Role {
                    name: "baselines",
                    many: false,
                },
            ],
        }
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let jobs = self.jobs().into_iter();
        jobs.map(|job| OutputSpec::file(file_name(job))).collect()
    }

    fn resources(&self) -> Resources {
        Resources {
            max_threads: self.0.figures.len(),
        }
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let study = study(inputs)?;
        let panels = self.panels(&study);
        let figures = Mutex::new(self.0.figures.iter());
        let work = || -> Result<(), StageError> {
            loop {
                // A panicked thread ends the stage by itself.
                let figure = figures.lock().ok().and_then(|mut rest| rest.next());
                let Some(figure) = figure else { return Ok(()) };
                context.check_cancelled()?;
                self.write(&panels, *figure, outputs)?;
            }
        };
        std::thread::scope(|scope| {
            let threads = context.threads.clamp(1, self.0.figures.len());
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut results = vec![work()];
            for other in others {
                let failed = |_| Err(StageError::failed("a thread that draws has panicked"));
                results.push(other.join().unwrap_or_else(failed));
            }
            results.into_iter().collect::<Result<(), _>>()
        })?;
        Ok(Report::default())
    }
}

impl Plot {
    fn write(
        &self,
        panels: &Panels<'_>,
        figure: FigureName,
        outputs: &OutputDir,
    ) -> Result<(), AnalysisError> {
        let scene = self.scene(panels, figure);
        for format in &self.0.formats {
            let path = outputs.path(&file_name((figure, *format)));
            let bytes = self.bytes(&scene, (figure, *format))?;
            std::fs::write(&path, bytes).map_err(|e| AnalysisError::io(&path, e))?;
        }
        Ok(())
    }
}

fn file_name((figure, format): (FigureName, Format)) -> String {
    format!("{}.{}", figure.name(), format.extension())
}
