//! Claims and whether they hold: what `claims.json` holds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::FormatError;

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
        let mut text = serde_json::to_vec_pretty(self).expect("a report is plain data");
        text.push(b'\n');
        fs_err::write(path, text).map_err(|e| FormatError::io(path, e))
    }

    /// Reads `claims.json`.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let text = fs_err::read(path).map_err(|e| FormatError::io(path, e))?;
        let report: Self = serde_json::from_slice(&text)
            .map_err(|e| FormatError::malformed(path, FORMAT, e.to_string()))?;
        if report.version != VERSION {
            let reason = format!("version {} instead of {VERSION}", report.version);
            return Err(FormatError::malformed(path, FORMAT, reason));
        }
        Ok(report)
    }
}
