//! What was written to `outputs/`: the proof that a copy there is ours.
//!
//! `exports.json` holds it by path. A run appends to `exports.jsonl` before it puts a copy in its
//! place, so that a killed run's copies are known too, and folds both into one at its end.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::{Cache, write_atomically};
use crate::digest::Digest;
use crate::error::EngineError;
use crate::places::Places;

type Written = BTreeMap<String, Digest>;

/// The record of one cache.
pub(super) struct Record<'a> {
    cache: &'a Cache,
    places: Places,
    /// Path, as [`Places`] writes it → digest of what was last written there.
    written: Mutex<Written>,
}

impl<'a> Record<'a> {
    pub(super) fn open(cache: &'a Cache) -> Self {
        let places = Places::of_cache(cache.root());
        Self {
            written: Mutex::new(read(cache, &places)),
            cache,
            places,
        }
    }

    /// Reads again what other runs have written. The caller holds the lock of the record.
    pub(super) fn refresh(&self) {
        self.lock().extend(read(self.cache, &self.places));
    }

    /// Notes what is about to be written; gives what was written to this path before. The caller
    /// holds the lock of the record.
    pub(super) fn note(&self, path: &Path, digest: Digest) -> Result<Option<Digest>, EngineError> {
        let name = self.places.name(path);
        if !self.cache.is_read_only() {
            let journal = journal(self.cache);
            let line = serde_json::to_string(&(&name, digest)).expect("a digest is plain data");
            let append = || {
                let mut file = std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(&journal)?;
                file.write_all((line + "\n").as_bytes())
            };
            append().map_err(|e| EngineError::io("write", &journal, e))?;
        }
        Ok(self.lock().insert(name, digest))
    }

    /// Folds what was appended into the one file.
    pub(super) fn save(&self) -> Result<(), EngineError> {
        let journal = journal(self.cache);
        if self.cache.is_read_only() || !journal.exists() {
            return Ok(());
        }
        let _alone = self.cache.lock_file("exports.lock")?;
        let all = read(self.cache, &self.places);
        let text = serde_json::to_vec_pretty(&all).expect("digests are plain data");
        write_atomically(&self.cache.root().join("exports.json"), &text)?;
        match std::fs::remove_file(&journal) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(EngineError::io("remove", &journal, e))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn journal(cache: &Cache) -> PathBuf {
    cache.root().join("exports.jsonl")
}

/// What is on record; a line that was cut by a kill counts for nothing.
fn read(cache: &Cache, places: &Places) -> Written {
    let text = std::fs::read(cache.root().join("exports.json")).unwrap_or_default();
    let written: Written = serde_json::from_slice(&text).unwrap_or_default();
    let written = written.into_iter();
    let mut all: Written = written.map(|(k, v)| (places.renewed(k), v)).collect();
    let appended = std::fs::read_to_string(journal(cache)).unwrap_or_default();
    let lines = appended.lines();
    all.extend(lines.filter_map(|line| serde_json::from_str::<(String, Digest)>(line).ok()));
    all
}
