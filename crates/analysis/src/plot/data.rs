//! Observations and fits arranged as panels: protocols by rows, modalities by columns.

use cpipe_data::fit_report::{Convention, Fit, FitReport};
use cpipe_data::observations::Observation;

use crate::error::AnalysisError;
use crate::fit::LawFit;

/// One panel: the cells of a protocol and modality, with their fit if there is one.
pub(super) struct Panel<'d> {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) title: String,
    pub(super) cells: Vec<&'d Observation>,
    pub(super) fit: Option<&'d Fit>,
}

pub(super) struct Panels<'d> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) convention: Convention,
    pub(super) panels: Vec<Panel<'d>>,
}

impl<'d> Panels<'d> {
    pub(super) fn of(
        cells: &'d [Observation],
        report: &'d FitReport,
        convention: Option<Convention>,
    ) -> Result<Self, AnalysisError> {
        let fitted = report.fits.first().map(|fit| fit.convention);
        let convention = convention.or(fitted).unwrap_or(Convention::NonEmbedding);
        let protocols = distinct(cells.iter().map(|c| c.protocol.as_str()));
        let modalities = distinct(cells.iter().map(|c| c.modality.as_str()));
        if cells.is_empty() {
            return Err(AnalysisError::Cells("there are no cells to draw".into()));
        }
        let mut panels = Vec::new();
        for (row, protocol) in protocols.iter().enumerate() {
            for (column, modality) in modalities.iter().enumerate() {
                let of_panel =
                    |c: &&Observation| c.protocol == *protocol && c.modality == *modality;
                let fits = report.fits.iter();
                let mut of_fit =
                    fits.filter(|f| f.protocol == *protocol && f.modality == *modality);
                panels.push(Panel {
                    row,
                    column,
                    title: format!("{modality} · {protocol}"),
                    cells: cells.iter().filter(of_panel).collect(),
                    fit: of_fit.find(|f| f.convention == convention),
                });
            }
        }
        Ok(Self {
            rows: protocols.len(),
            columns: modalities.len(),
            convention,
            panels,
        })
    }

    /// The number of parameters of a cell as the law counts them.
    pub(super) fn size(&self, cell: &Observation) -> f64 {
        match self.convention {
            Convention::Nominal => cell.params_nominal.unwrap_or(f64::NAN),
            Convention::Total => cell.params_total as f64,
            Convention::NonEmbedding => cell.params_non_embedding as f64,
        }
    }

    pub(super) fn size_label(&self) -> &'static str {
        match self.convention {
            Convention::Nominal => "parameters P (nominal)",
            Convention::Total => "parameters P (total)",
            Convention::NonEmbedding => "parameters P (non-embedding)",
        }
    }
}

impl Panel<'_> {
    pub(super) fn law(&self) -> Option<LawFit> {
        self.fit.map(|fit| LawFit {
            a: fit.a.value,
            b: fit.b.value,
            c: fit.c.value,
            alpha: fit.alpha.value,
            beta: fit.beta.value,
            rss: 0.0,
        })
    }

    /// CR = 0.271 + 0.131 P⁻⁰·⁰⁶¹ + 0.892 S⁻⁰·⁵⁴⁰
    pub(super) fn equation(&self) -> String {
        let Some(fit) = self.fit else {
            return "no fit: see fits.md".to_owned();
        };
        format!(
            "CR = {} + {} P{} + {} S{}",
            amount(fit.a.value),
            amount(fit.b.value),
            raised(fit.alpha.value),
            amount(fit.c.value),
            raised(fit.beta.value)
        )
    }
}

fn amount(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

/// A negative exponent in superscript digits.
fn raised(exponent: f64) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let text = format!("{exponent:.3}");
    let digit = |c: char| c.to_digit(10).map_or('·', |d| digits[d as usize]);
    std::iter::once('⁻')
        .chain(text.chars().map(digit))
        .collect()
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

/// Sorted distinct numbers.
pub(super) fn levels(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.filter(|v| v.is_finite() && *v > 0.0).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}
