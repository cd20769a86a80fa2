//! The law report: what `laws.json` holds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fit_report::Convention;
use crate::{FormatError, json_report};

/// Version of the `laws.json` layout.
pub const VERSION: u32 = 1;
const FORMAT: &str = "law report";

/// A fitted parameter. Intervals are of 95 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name in the formula.
    pub name: String,
    /// The value that fits best.
    pub value: f64,
    /// Standard error from the covariance; none at a bound and for a Huber loss.
    pub stderr: Option<f64>,
    /// Lower end of the bootstrap interval.
    pub lo: f64,
    /// Upper end of the bootstrap interval.
    pub hi: f64,
    /// Lower end by profile likelihood; none where the data set none within the search range.
    pub profile_lo: Option<f64>,
    /// Upper end by profile likelihood; none where the data set none within the search range.
    pub profile_hi: Option<f64>,
    /// Whether the value stands at a bound of its search range.
    pub at_bound: bool,
}

/// A law fitted to one group of cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LawFit {
    /// Protocol of the observations.
    pub protocol: String,
    /// Modality of the observations.
    pub modality: String,
    /// What P is.
    pub convention: Convention,
    /// Name of the law.
    pub law: String,
    /// Its formula over P, S, D and the parameters.
    pub formula: String,
    /// What was minimised, such as `squares` or `huber(0.001), log`.
    pub method: String,
    /// In the order of the formula.
    pub parameters: Vec<Parameter>,
    /// Covariance of the parameters that are off their bounds, in their order; none for a Huber loss.
    pub covariance: Option<Vec<Vec<f64>>>,
    /// Cells that were fitted.
    pub n: usize,
    /// Σ (ratio - law)².
    pub rss: f64,
    /// 1 - RSS / TSS.
    pub r2: f64,
    /// √(RSS / n).
    pub rmse: f64,
    /// Akaike's criterion, corrected for few cells; comparable between laws of the same cells.
    pub aicc: Option<f64>,
    /// Schwarz's criterion.
    pub bic: Option<f64>,
    /// Root mean square error of predicting each size from the others.
    pub leave_size_out: Option<f64>,
    /// Root mean square error of predicting the last step from the earlier ones.
    pub leave_last_step_out: Option<f64>,
    /// Least and greatest P that was fitted.
    pub sizes: (f64, f64),
    /// Least and greatest S that was fitted.
    pub steps: (f64, f64),
    /// D / S, where it is known.
    pub tokens_per_step: Option<f64>,
    /// Bootstrap refits behind the intervals.
    pub bootstrap: usize,
    /// What the data cannot tell, in plain words.
    pub warnings: Vec<String>,
}

/// A group of cells that a law could not be fitted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LawRefusal {
    /// Protocol of the observations.
    pub protocol: String,
    /// Modality of the observations.
    pub modality: String,
    /// What P would have been.
    pub convention: Convention,
    /// Name of the law.
    pub law: String,
    /// Why there is no fit.
    pub reason: String,
}

/// All fits of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LawReport {
    /// Layout version, [`VERSION`].
    pub version: u32,
    /// By protocol, modality, convention and law.
    pub fits: Vec<LawFit>,
    /// Groups without a fit, and why.
    pub refused: Vec<LawRefusal>,
}

impl LawReport {
    /// Writes `laws.json`.
    pub fn write(&self, path: &Path) -> Result<(), FormatError> {
        json_report::write(self, path)
    }

    /// Reads `laws.json`.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        json_report::read(path, FORMAT, |report: &Self| report.version, VERSION)
    }
}
