//! Observations and fits arranged as panels: protocols by rows, modalities by columns.

use cpipe_data::fit_report::Convention;
use cpipe_data::law_report::{LawFit, LawReport};
use cpipe_data::observations::Observation;

use super::baselines::Baseline;
use super::font::superscript;
use super::params::PlotParams;
use crate::draws::{Draws, Kind};
use crate::fit::name_of;
use crate::laws::surface;
use crate::table::ChunkRatio;
use crate::text_table::significant;

/// All that figures are drawn from.
#[derive(Clone, Debug)]
pub(super) struct Study {
    pub(super) cells: Vec<Observation>,
    pub(super) laws: LawReport,
    pub(super) draws: Vec<Draws>,
    /// None where the stage was not given any.
    pub(super) chunks: Option<Vec<ChunkRatio>>,
    /// Classical compressors on the same chunks, where the stage was given any.
    pub(super) baselines: Vec<Baseline>,
}

/// A fit with its bootstrap refits.
#[derive(Clone, Copy)]
pub(super) struct Fitted<'d> {
    pub(super) fit: &'d LawFit,
    pub(super) refits: &'d [Vec<f64>],
}

/// The cells of a protocol and modality, with their fit or why there is none.
pub(super) struct Panel<'d> {
    /// Its place among the protocols.
    pub(super) row: usize,
    /// Its place among the modalities.
    pub(super) column: usize,
    pub(super) protocol: &'d str,
    pub(super) modality: &'d str,
    pub(super) cells: Vec<&'d Observation>,
    pub(super) fit: Result<Fitted<'d>, String>,
}

pub(super) struct Panels<'d> {
    pub(super) study: &'d Study,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) convention: Convention,
    pub(super) panels: Vec<Panel<'d>>,
}

impl Study {
    /// The fit that is drawn for a group of cells.
    fn fit(
        &self,
        (protocol, modality): (&str, &str),
        convention: Convention,
        law: Option<&str>,
    ) -> Result<Fitted<'_>, String> {
        let is = |p: &str, m: &str, c: Convention, l: &str| {
            p == protocol && m == modality && c == convention && law.is_none_or(|law| law == l)
        };
        let fits = self.laws.fits.iter();
        let found = fits
            .enumerate()
            .find(|(_, f)| is(&f.protocol, &f.modality, f.convention, &f.law));
        if let Some((place, fit)) = found {
            let mut draws = self.draws.iter();
            let draws = draws.find(|d| d.fit == place && d.kind == Kind::Bootstrap);
            let refits = draws.map_or(&[][..], |d| d.rows.as_slice());
            return Ok(Fitted { fit, refits });
        }
        let mut refused = self.laws.refused.iter();
        let refused = refused.find(|r| is(&r.protocol, &r.modality, r.convention, &r.law));
        Err(match (refused, law) {
            (Some(refusal), _) => format!("no fit: {}", refusal.reason),
            (None, Some(law)) => format!("no fit of `{law}` with P {}", name_of(convention)),
            (None, None) => format!("no fit with P {}", name_of(convention)),
        })
    }

    /// The first that was fitted, else the first in which a size is known.
    fn convention(&self) -> Convention {
        let fits = self.laws.fits.iter().map(|fit| fit.convention);
        let refused = self.laws.refused.iter().map(|refusal| refusal.convention);
        let any = [
            Convention::NonEmbedding,
            Convention::Total,
            Convention::Nominal,
        ]
        .into_iter()
        .find(|c| self.cells.iter().any(|cell| size(cell, *c) > 0.0));
        let mut known = fits.chain(refused).chain(any);
        known.next().unwrap_or(Convention::NonEmbedding)
    }
}

/// The number of parameters of a cell's model; NaN where it is not known.
pub(super) fn size(cell: &Observation, convention: Convention) -> f64 {
    let counted = |count: u64| if count > 0 { count as f64 } else { f64::NAN };
    match convention {
        Convention::Nominal => cell.params_nominal.unwrap_or(f64::NAN),
        Convention::Total => counted(cell.params_total),
        Convention::NonEmbedding => counted(cell.params_non_embedding),
    }
}

impl<'d> Panels<'d> {
    pub(super) fn of(study: &'d Study, params: &PlotParams) -> Self {
        let convention = params.convention.unwrap_or_else(|| study.convention());
        let protocols = distinct(study.cells.iter().map(|c| c.protocol.as_str()));
        let modalities = distinct(study.cells.iter().map(|c| c.modality.as_str()));
        let mut panels = Vec::new();
        for (row, protocol) in protocols.iter().copied().enumerate() {
            for (column, modality) in modalities.iter().copied().enumerate() {
                let of_panel = |c: &&Observation| c.protocol == protocol && c.modality == modality;
                panels.push(Panel {
                    row,
                    column,
                    protocol,
                    modality,
                    cells: study.cells.iter().filter(of_panel).collect(),
                    fit: study.fit((protocol, modality), convention, params.law.as_deref()),
                });
            }
        }
        Self {
            study,
            rows: protocols.len(),
            columns: modalities.len(),
            convention,
            panels,
        }
    }

    pub(super) fn size(&self, cell: &Observation) -> f64 {
        size(cell, self.convention)
    }

    pub(super) fn size_label(&self) -> String {
        format!("parameters P ({})", name_of(self.convention))
    }

    pub(super) fn sizes(&self, panel: &Panel<'_>) -> Vec<f64> {
        levels(panel.cells.iter().map(|c| self.size(c)))
    }

    /// Models of the panels in their order, and their colours' order with them.
    pub(super) fn models(&self) -> Vec<&'d str> {
        distinct(self.study.cells.iter().map(|c| c.model.as_str()))
    }

    pub(super) fn steps(&self) -> Vec<f64> {
        levels(self.study.cells.iter().map(|c| c.step as f64))
    }

    /// Tokens that a training step sees, where a fit knows it.
    pub(super) fn tokens_per_step(&self) -> Option<f64> {
        self.study.laws.fits.iter().find_map(|f| f.tokens_per_step)
    }
}

impl<'d> Panel<'d> {
    pub(super) fn title(&self) -> String {
        format!("{} · {}", self.modality, self.protocol)
    }

    /// In their order.
    pub(super) fn models(&self) -> Vec<&'d str> {
        distinct(self.cells.iter().map(|c| c.model.as_str()))
    }

    pub(super) fn steps(&self) -> Vec<f64> {
        levels(self.cells.iter().map(|c| c.step as f64))
    }
}

impl Fitted<'_> {
    /// The fitted ratio of each cell.
    pub(super) fn at_cells(
        &self,
        panels: &Panels<'_>,
        cells: &[&Observation],
    ) -> Result<Vec<f64>, String> {
        let p: Vec<f64> = cells.iter().map(|c| panels.size(c)).collect();
        let s: Vec<f64> = cells.iter().map(|c| c.step as f64).collect();
        self.at(&p, &s)
    }

    /// The fitted ratio at each point (P, S).
    pub(super) fn at(&self, p: &[f64], s: &[f64]) -> Result<Vec<f64>, String> {
        let mut surface = surface(self.fit, p, s)?;
        let best: Vec<f64> = self.fit.parameters.iter().map(|p| p.value).collect();
        surface.evaluate(&best);
        let mut values = vec![f64::NAN; p.len()];
        surface.value(&mut values);
        Ok(values)
    }

    /// What every refit says at each point (P, S): a row for each refit.
    pub(super) fn refits_at(&self, p: &[f64], s: &[f64]) -> Result<Vec<Vec<f64>>, String> {
        let mut surface = surface(self.fit, p, s)?;
        let count = self.fit.parameters.len();
        let whole = self.refits.iter().filter(|refit| refit.len() >= count);
        let rows = whole.map(|refit| {
            surface.evaluate(&refit[..count]);
            let mut values = vec![f64::NAN; p.len()];
            surface.value(&mut values);
            values
        });
        Ok(rows.collect())
    }

    /// The law with its numbers, and how well it fits.
    pub(super) fn equation(&self) -> [String; 2] {
        let fit = self.fit;
        let quality = format!("R² = {:.3}, RMSE = {}", fit.r2, significant(fit.rmse));
        let value = |name: &str| fit.parameters.iter().find(|p| p.name == name);
        let values = ["a", "b", "alpha", "c", "beta"].map(|name| value(name).map(|p| p.value));
        if let ("additive", [Some(a), Some(b), Some(alpha), Some(c), Some(beta)]) =
            (fit.law.as_str(), values)
        {
            let [a, b, c] = [a, b, c].map(significant);
            let [alpha, beta] = [alpha, beta].map(raised);
            return [format!("CR = {a} + {b} P{alpha} + {c} S{beta}"), quality];
        }
        let parameters = fit.parameters.iter();
        let parameters: Vec<String> = parameters
            .map(|p| format!("{} = {}", p.name, significant(p.value)))
            .collect();
        let equation = format!("{}: {}", fit.law, fit.formula);
        [
            equation,
            format!("{}; R² = {:.3}", parameters.join(", "), fit.r2),
        ]
    }
}

/// A negative exponent in superscript digits.
pub(super) fn raised(exponent: f64) -> String {
    superscript(&format!("{:.3}", -exponent))
}

/// Names in the order in which they first come.
pub(super) fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// Sorted distinct finite numbers.
pub(super) fn levels(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}
