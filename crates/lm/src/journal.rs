//! Finished windows of a run, kept so that a killed run goes on where it stopped.
//!
//! The first line says what is being scored; a journal of something else is started afresh. Then one
//! line per window: its number and the log-probabilities of its scored tokens, as the bits of their
//! f32 so that a resumed run gives the same bytes. Whatever follows the first damaged line is cut off.

use std::fmt::Write as _;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};

use crate::LmError;

/// An open journal.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

/// What is known of each window.
pub(crate) type Known = Vec<Option<Vec<f32>>>;

impl Journal {
    /// Opens the journal at `path` for a job that `job` identifies, whose windows score `sizes`
    /// tokens, and gives what is there already.
    pub(crate) fn open(path: &Path, job: &str, sizes: &[usize]) -> Result<(Self, Known), LmError> {
        let io = |e| LmError::io(path, e);
        let mut known = vec![None; sizes.len()];
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        let text = fs_err::read(path).map_err(io)?;
        let header = format!("{}\n", serde_json::json!({ "journal": 2, "job": job }));
        let mut valid = 0;
        if let Some(lines) = text.strip_prefix(header.as_bytes()) {
            valid = header.len() + replay(lines, sizes, &mut known);
        }
        file.set_len(valid as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        if valid == 0 {
            file.write_all(header.as_bytes()).map_err(io)?;
        }
        let path = path.to_owned();
        Ok((Self { path, file }, known))
    }

    /// Records a finished window.
    pub(crate) fn append(&mut self, window: usize, log_probs: &[f32]) -> Result<(), LmError> {
        let mut line = format!("{window} ");
        for x in log_probs {
            write!(line, "{:08x}", x.to_bits()).expect("writing to a string does not fail");
        }
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| LmError::io(&self.path, e))
    }
}

/// Reads whole valid lines into `known`; gives the bytes that they take.
fn replay(lines: &[u8], sizes: &[usize], known: &mut Known) -> usize {
    let mut valid = 0;
    for line in lines.split_inclusive(|b| *b == b'\n') {
        let parsed = line.strip_suffix(b"\n").and_then(parse);
        let Some((window, log_probs)) = parsed else {
            break;
        };
        if sizes.get(window) != Some(&log_probs.len()) {
            break;
        }
        known[window] = Some(log_probs);
        valid += line.len();
    }
    valid
}

fn parse(line: &[u8]) -> Option<(usize, Vec<f32>)> {
    let (window, words) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if !words.is_ascii() || !words.len().is_multiple_of(8) {
        return None;
    }
    let word = |at: usize| u32::from_str_radix(&words[at..at + 8], 16).ok();
    let log_probs = (0..words.len()).step_by(8).map(word);
    let log_probs = log_probs.map(|bits| bits.map(f32::from_bits));
    Some((window.parse().ok()?, log_probs.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_and_the_rest_is_exact() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let sizes = [2, 1, 3];
        let (mut journal, known) = Journal::open(&path, "a", &sizes).unwrap();
        assert_eq!(known, [None, None, None]);
        let third = vec![-1.0 / 3.0, f32::NEG_INFINITY, -0.0];
        journal.append(2, &third).unwrap();
        journal.append(0, &[-1.5, -2.5]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for torn in [5, 1, 9] {
            std::fs::write(&path, &whole[..whole.len() - torn]).unwrap();
            let (mut journal, known) = Journal::open(&path, "a", &sizes).unwrap();
            assert_eq!(known, [None, None, Some(third.clone())]);
            journal.append(0, &[-1.5, -2.5]).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_journal_of_another_job_is_started_afresh() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, _) = Journal::open(&path, "a", &[1]).unwrap();
        journal.append(0, &[-1.0]).unwrap();
        assert_eq!(Journal::open(&path, "b", &[1]).unwrap().1, [None]);
        assert_eq!(Journal::open(&path, "a", &[1]).unwrap().1, [None]);
    }

    #[test]
    fn a_line_that_does_not_fit_its_window_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, _) = Journal::open(&path, "a", &[1]).unwrap();
        journal.append(0, &[-1.0, -2.0]).unwrap();
        assert_eq!(Journal::open(&path, "a", &[1]).unwrap().1, [None]);
    }
}
