use cpipe_data::fit_report::{Convention, FitReport};
use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Role, Roles, Stage, StageContext, StageError, StageId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data::Panels;
use super::{curves, grid, law, render};
use crate::error::AnalysisError;
use crate::table;

/// Parameters of the `plot` stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlotParams {
    /// What P is in the figures; the first convention that was fitted if not given.
    #[serde(default)]
    pub convention: Option<Convention>,
}

/// Draws the figures.
///
/// Inputs `cells` (`cells.parquet`) and `fits` (`fits.json`). Outputs `law`, `grid` and `curves` as
/// SVG and PNG.
#[derive(Clone, Debug)]
pub struct Plot(PlotParams);

impl Plot {
    /// Checks the parameters.
    ///
    /// # Errors
    /// (parameter, what is wrong with it); no value is refused today.
    pub fn new(params: PlotParams) -> Result<Self, (String, String)> {
        Ok(Self(params))
    }
}

/// Draws a figure from the panels.
type Draw = fn(&Panels<'_>) -> Result<String, AnalysisError>;

const FIGURES: [(&str, &str, Draw); 3] = [
    (
        "law",
        "The fitted law CR(P, S) as filled contours with the measured cells",
        law::figure,
    ),
    (
        "grid",
        "Measured mean compression ratios by model and training step",
        grid::figure,
    ),
    (
        "curves",
        "Compression ratio against parameters and against training step",
        curves::figure,
    ),
];

impl Stage for Plot {
    fn id(&self) -> StageId {
        StageId {
            name: "plot".into(),
            version: 2,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[
            Role {
                name: "cells",
                many: false,
            },
            Role {
                name: "fits",
                many: false,
            },
        ])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        FIGURES
            .iter()
            .flat_map(|(name, ..)| ["svg", "png"].map(|e| OutputSpec::file(format!("{name}.{e}"))))
            .collect()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let cells = table::read_cells(inputs.one("cells")?.file("cells.parquet")?)?;
        let fits =
            FitReport::read(inputs.one("fits")?.file("fits.json")?).map_err(AnalysisError::from)?;
        let panels = Panels::of(&cells, &fits, self.0.convention)?;
        for (name, title, draw) in FIGURES {
            context.check_cancelled()?;
            let svg = draw(&panels)?;
            let (svg_path, png_path) = (format!("{name}.svg"), format!("{name}.png"));
            render::write(
                name,
                title,
                &svg,
                &outputs.path(&svg_path),
                &outputs.path(&png_path),
            )?;
        }
        Ok(Report::default())
    }
}
