//! Finished windows of a run, kept so that a killed run goes on where it stopped.
//!
//! One JSON line per window, numbers as the bits of their f64 so that a resumed run gives the same
//! bytes. The first line says what is being scored; a journal of something else is started afresh.
//! Whatever follows the first damaged line is cut off.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};

use crate::{LmError, WindowScore};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    window: usize,
    bits: u64,
    first: u64,
    tokens: u64,
    covered: u64,
    floored: u64,
    nan: u64,
}

impl Line {
    fn new(window: usize, score: &WindowScore) -> Self {
        Self {
            window,
            bits: score.bits.to_bits(),
            first: score.first.to_bits(),
            tokens: score.tokens,
            covered: score.covered,
            floored: score.floored,
            nan: score.nan,
        }
    }

    fn score(&self) -> WindowScore {
        WindowScore {
            bits: f64::from_bits(self.bits),
            first: f64::from_bits(self.first),
            tokens: self.tokens,
            covered: self.covered,
            floored: self.floored,
            nan: self.nan,
        }
    }
}

/// An open journal.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal at `path` for a job of `windows` windows that `job` identifies, and gives
    /// the scores that are there already.
    pub(crate) fn open(
        path: &Path,
        job: &str,
        windows: usize,
    ) -> Result<(Self, Vec<Option<WindowScore>>), LmError> {
        let io = |e| LmError::io(path, e);
        let mut scores = vec![None; windows];
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        let text = fs_err::read(path).map_err(io)?;
        let header = format!("{}\n", serde_json::json!({ "journal": 1, "job": job }));
        let mut valid = 0;
        if let Some(lines) = text.strip_prefix(header.as_bytes()) {
            valid = header.len() + replay(lines, &mut scores);
        }
        file.set_len(valid as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        if valid == 0 {
            file.write_all(header.as_bytes()).map_err(io)?;
        }
        let path = path.to_owned();
        Ok((Self { path, file }, scores))
    }

    /// Records a finished window.
    pub(crate) fn append(&mut self, window: usize, score: &WindowScore) -> Result<(), LmError> {
        let mut line = serde_json::to_vec(&Line::new(window, score)).expect("a line is plain data");
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(|e| LmError::io(&self.path, e))
    }
}

/// Reads whole valid lines into `scores`; gives the bytes that they take.
fn replay(lines: &[u8], scores: &mut [Option<WindowScore>]) -> usize {
    let mut valid = 0;
    for line in lines.split_inclusive(|b| *b == b'\n') {
        let parsed = line
            .strip_suffix(b"\n")
            .and_then(|line| serde_json::from_slice::<Line>(line).ok());
        let Some(line_score) = parsed else { break };
        let Some(slot) = scores.get_mut(line_score.window) else {
            break;
        };
        *slot = Some(line_score.score());
        valid += line.len();
    }
    valid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(bits: f64) -> WindowScore {
        WindowScore {
            bits,
            first: 0.1,
            tokens: 3,
            covered: 4,
            floored: 1,
            nan: 2,
        }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_rest_is_exact() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, scores) = Journal::open(&path, "a", 3).unwrap();
        assert_eq!(scores, [None, None, None]);
        journal.append(2, &score(1.0 / 3.0)).unwrap();
        journal.append(0, &score(f64::INFINITY)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let (mut journal, scores) = Journal::open(&path, "a", 3).unwrap();
        assert_eq!(scores, [None, None, Some(score(1.0 / 3.0))]);
        journal.append(0, &score(f64::INFINITY)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_journal_of_another_job_is_started_afresh() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, _) = Journal::open(&path, "a", 1).unwrap();
        journal.append(0, &score(1.0)).unwrap();
        assert_eq!(Journal::open(&path, "b", 1).unwrap().1, [None]);
        assert_eq!(Journal::open(&path, "a", 1).unwrap().1, [None]);
    }
}
