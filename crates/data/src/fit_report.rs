//! The fit report: what `fits.json` holds.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FormatError, json_report};

/// Version of the `fits.json` layout.
pub const VERSION: u32 = 1;
const FORMAT: &str = "fit report";

/// Which number of parameters enters the law as P.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// The size by which the model is known.
    Nominal,
    /// All parameters.
    Total,
    /// All but the two embedding matrices; written `non-embedding` in tables for readers.
    #[serde(alias = "non-embedding")]
    NonEmbedding,
}

/// A fitted coefficient with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Least-squares value.
    pub value: f64,
    /// Lower end of the interval.
    pub lo: f64,
    /// Upper end of the interval.
    pub hi: f64,
    /// Whether the value stands at a bound of its search range.
    pub at_bound: bool,
}

/// CR(P, S) = a + b·P^-α + c·S^-β fitted to one group of cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// Protocol of the observations.
    pub protocol: String,
    /// Modality of the observations.
    pub modality: String,
    /// What P is.
    pub convention: Convention,
    /// Irreducible ratio.
    pub a: Estimate,
    /// Amplitude of the size term.
    pub b: Estimate,
    /// Amplitude of the training term.
    pub c: Estimate,
    /// Exponent of the size term.
    pub alpha: Estimate,
    /// Exponent of the training term.
    pub beta: Estimate,
    /// 1 - RSS / TSS.
    pub r2: f64,
    /// √(RSS / n).
    pub rmse: f64,
    /// Cells that were fitted.
    pub n: usize,
    /// Bootstrap refits behind the intervals.
    pub bootstrap: usize,
    /// What the data cannot tell, in plain words; empty when all is well.
    pub warnings: Vec<String>,
}

/// All fits of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitReport {
    /// Layout version, [`VERSION`].
    pub version: u32,
    /// Sorted by protocol, modality and convention.
    pub fits: Vec<Fit>,
    /// Groups that could not be fitted, and why.
    pub refused: Vec<Refusal>,
}

/// A group of cells that no fit could be made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Protocol of the observations.
    pub protocol: String,
    /// Modality of the observations.
    pub modality: String,
    /// What P would have been.
    pub convention: Convention,
    /// Why there is no fit.
    pub reason: String,
}

impl FitReport {
    /// Writes `fits.json`.
    pub fn write(&self, path: &Path) -> Result<(), FormatError> {
        json_report::write(self, path)
    }

    /// Reads `fits.json`.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        json_report::read(path, FORMAT, |report: &Self| report.version, VERSION)
    }
}
