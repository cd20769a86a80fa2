//! What sources that follow their content were last seen to be.
//!
//! A source without a declared digest enters keys by the digest of what is there. Once it is gone,
//! what it was when a node that reads it was last up to date counts. cpipe.lock remembers that by the
//! source's name, so that it moves with the pipeline file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The texts that unpinned sources enter keys by, such as `blake3:…`. Nobody interprets them.
#[derive(Debug, Default)]
pub struct Seen {
    earlier: BTreeMap<PathBuf, String>,
    blind: bool,
    used: Mutex<BTreeMap<PathBuf, String>>,
}

impl Seen {
    /// What is on record by path. With `blind` only that counts, and no source is looked at.
    pub fn new(earlier: BTreeMap<PathBuf, String>, blind: bool) -> Self {
        Self {
            earlier,
            blind,
            used: Mutex::default(),
        }
    }

    /// Whether no source is looked at.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind
    }

    /// What a source was last seen to be.
    pub fn earlier(&self, path: &Path) -> Option<&String> {
        self.earlier.get(path)
    }

    /// Notes what a source entered a key by now.
    pub(crate) fn note(&self, path: &Path, text: &str) {
        self.lock().insert(path.to_owned(), text.to_owned());
    }

    /// What a source last entered a key by in this process.
    pub(crate) fn used(&self, path: &Path) -> Option<String> {
        self.lock().get(path).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, String>> {
        // Entries are written whole, so a panic elsewhere leaves a map that is still right.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing is there: a source that is there and cannot be read is not gone.
pub fn is_gone(path: &Path) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    std::fs::metadata(path).is_err_and(|e| matches!(e.kind(), NotFound | NotADirectory))
}
