//! Claims and whether they hold: what `claims.json` holds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{FormatError, json_report};

/// Version of the `claims.json` layout.
pub const VERSION: u32 = 1;
const FORMAT: &str = "claims";

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// What was found, with its whole interval, is as claimed.
    Holds,
    /// What was found, with its whole interval, is not as claimed.
    Fails,
    /// The interval holds values that are as claimed and others, or nothing could be found.
    CannotBeTold,
}

/// A claim that was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim in words.
    pub text: String,
    /// Where it is made; empty if not told.
    pub source: String,
    /// What was computed.
    pub value: String,
    /// What that is computed for, such as `text, nominal`.
    pub scope: String,
    /// What is claimed of it, such as `0.38 ± 0.005` or `> 0.95`.
    pub expected: String,
    /// What it came to; none where it could not be computed.
    pub found: Option<f64>,
    /// Lower end of the 95 % interval.
    pub lo: Option<f64>,
    /// Upper end of the 95 % interval.
    pub hi: Option<f64>,
    /// What the interval is over: `bootstrap`, `rounding` or `none`.
    pub interval: String,
    /// Whether it holds.
    pub status: Status,
    /// Why it cannot be told, where nothing was found.
    pub reason: Option<String>,
}

/// All claims of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimReport {
    /// Layout version, [`VERSION`].
    pub version: u32,
    /// In the order of the pipeline file.
    pub claims: Vec<Claim>,
}

impl ClaimReport {
    /// Writes `claims.json`.
    pub fn write(&self, path: &Path) -> Result<(), FormatError> {
        json_report::write(self, path)
    }

    /// Reads `claims.json`.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        json_report::read(path, FORMAT, |report: &Self| report.version, VERSION)
    }
}
