//! Reports as JSON files: pretty, with a version that is checked when they are read.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::FormatError;

/// Writes a report.
pub(crate) fn write(report: &impl Serialize, path: &Path) -> Result<(), FormatError> {
    let mut text = serde_json::to_vec_pretty(report).expect("a report is plain data");
    text.push(b'\n');
    fs_err::write(path, text).map_err(|e| FormatError::io(path, e))
}

/// Reads a report of the given format, whose layout version must be `wanted`.
pub(crate) fn read<T: DeserializeOwned>(
    path: &Path,
    format: &'static str,
    version_of: fn(&T) -> u32,
    wanted: u32,
) -> Result<T, FormatError> {
    let text = fs_err::read(path).map_err(|e| FormatError::io(path, e))?;
    let report: T = serde_json::from_slice(&text)
        .map_err(|e| FormatError::malformed(path, format, e.to_string()))?;
    let version = version_of(&report);
    if version == wanted {
        return Ok(report);
    }
    let reason = format!("version {version} instead of {wanted}");
    Err(FormatError::malformed(path, format, reason))
}
