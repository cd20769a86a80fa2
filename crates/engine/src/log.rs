//! The log of a node's attempt: what its stage or its program printed, up to a limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::EngineError;
use crate::tree;

/// So many bytes from the beginning are kept, and half as many from the end.
const HEAD: u64 = 8 << 20;
const TAIL: usize = 4 << 20;

/// A log that is made when the first bytes come.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    written: u64,
    /// What came after the beginning was full.
    tail: VecDeque<u8>,
    /// Bytes between the beginning and the tail.
    dropped: u64,
}

impl Log {
    /// An empty log; an earlier one at `path` is removed.
    ///
    /// # Errors
    /// When that can't be removed.
    pub fn create(path: PathBuf) -> Result<Self, EngineError> {
        tree::remove(&path).map_err(|e| EngineError::io("replace", &path, e))?;
        Ok(Self {
            path,
            state: Mutex::default(),
        })
    }

    /// Adds a line.
    pub fn line(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Adds bytes. A log that can't be written must not fail the work that it describes.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let room = usize::try_from(HEAD - state.written).unwrap_or(usize::MAX);
        let (head, tail) = bytes.split_at(room.min(bytes.len()));
        if !head.is_empty() {
            let _ = state.write(&self.path, head);
            state.written += head.len() as u64;
        }
        state.keep(tail);
    }

    /// Writes what was held back. Said once, when nothing more comes.
    pub fn finish(&self) {
        let mut state = self.lock();
        let tail: Vec<u8> = std::mem::take(&mut state.tail).into();
        if state.dropped > 0 {
            let dropped = std::mem::take(&mut state.dropped);
            let note = format!("\n[cpipe: {dropped} bytes of this log were left out here]\n");
            let _ = state.write(&self.path, note.as_bytes());
        }
        if !tail.is_empty() {
            let _ = state.write(&self.path, &tail);
        }
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(File::create(path)?);
        }
        self.file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let too_many = bytes.len().saturating_sub(TAIL);
        self.dropped += too_many as u64;
        self.tail.extend(&bytes[too_many..]);
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(chunks: &[&[u8]]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::create(dir.path().join("log")).unwrap();
        for chunk in chunks {
            log.write(chunk);
        }
        log.finish();
        std::fs::read(log.path()).unwrap()
    }

    #[test]
    fn a_short_log_is_kept_as_it_is() {
        assert_eq!(written(&[b"one\n", b"two"]), b"one\ntwo");
        let long = vec![b'x'; HEAD as usize + 1000];
        assert_eq!(written(&[&long, b"y"]), [long, b"y".to_vec()].concat());
    }

    #[test]
    fn a_long_log_has_its_beginning_and_end_and_says_where_it_was_cut() {
        let block = vec![b'x'; 1 << 20];
        let mut chunks = vec![b"first".as_slice()];
        chunks.extend(std::iter::repeat_n(block.as_slice(), 20));
        chunks.push(b"last");
        let text = written(&chunks);
        assert!(text.starts_with(b"first") && text.ends_with(b"last"));
        let total = 5 + (20 << 20) + 4;
        let dropped = total - (HEAD as usize + TAIL);
        let note = format!("\n[cpipe: {dropped} bytes of this log were left out here]\n");
        assert_eq!(&text[HEAD as usize..][..note.len()], note.as_bytes());
        assert_eq!(text.len(), HEAD as usize + TAIL + note.len());
    }

    #[test]
    fn nothing_is_made_for_what_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::create(dir.path().join("log")).unwrap();
        log.finish();
        assert!(!log.path().exists());
    }
}
