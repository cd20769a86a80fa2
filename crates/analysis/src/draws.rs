//! Every refit behind the intervals: what `draws.parquet` holds.

use cpipe_data::law_report::LawFit;

/// Why a refit was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On resampled data.
    Bootstrap,
    /// On ratios moved within their last printed digit.
    Rounding,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Rounding => "rounding",
        }
    }
}

/// The refits of one fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draws {
    /// Place of the fit in the law report.
    pub(crate) fit: usize,
    pub(crate) kind: Kind,
    /// The law's parameters, then `r2` and `rmse`.
    pub(crate) names: Vec<String>,
    /// A row for each refit.
    pub(crate) rows: Vec<Vec<f64>>,
}

impl Draws {
    pub(crate) fn of(place: usize, fit: &LawFit, kind: Kind, rows: Vec<Vec<f64>>) -> Self {
        let names = fit.parameters.iter().map(|p| p.name.clone());
        Self {
            fit: place,
            kind,
            names: names.chain(["r2".to_owned(), "rmse".to_owned()]).collect(),
            rows,
        }
    }

    /// Where a quantity stands in each row.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}
