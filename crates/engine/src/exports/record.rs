//! What was written to `outputs/`: the proof that a copy there is ours.
//!
//! `exports.json` holds it by path. A run appends to `exports.jsonl` before it puts a copy in its
//! place, so that a killed run's copies are known too, and folds both into one at its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, write_atomically};
use crate::digest::Digest;
use crate::error::EngineError;
use crate::places::Places;

type Written = BTreeMap<String, Digest>;

/// The record of one cache, as far as it was read.
pub(super) struct Record<'a> {
    cache: &'a Cache,
    places: Places,
    /// Path, as [`Places`] writes it → digest of what was last written there.
    written: Written,
    /// Which `exports.json` was read; each is a file of its own.
    folded: Option<(u64, i64, i64)>,
    /// Bytes of `exports.jsonl` that were read or written.
    appended: u64,
}

impl<'a> Record<'a> {
    pub(super) fn open(cache: &'a Cache) -> Self {
        let mut record = Self {
            places: Places::of_cache(cache.root()),
            cache,
            written: Written::new(),
            folded: None,
            appended: 0,
        };
        record.reload();
        record
    }

    /// Reads what other runs have written since. The caller holds the lock of the record.
    pub(super) fn refresh(&mut self) {
        if self.folded == which(&self.path("exports.json")) {
            self.read_appended();
        } else {
            self.reload();
        }
    }

    fn reload(&mut self) {
        let path = self.path("exports.json");
        self.folded = which(&path);
        let text = std::fs::read(&path).unwrap_or_default();
        let folded: Written = serde_json::from_slice(&text).unwrap_or_default();
        let folded = folded.into_iter();
        self.written = folded.map(|(k, v)| (self.places.renewed(k), v)).collect();
        self.appended = 0;
        self.read_appended();
    }

    /// Reads the lines that are new. One that a kill has cut counts for nothing.
    fn read_appended(&mut self) {
        let length = std::fs::metadata(self.path("exports.jsonl")).map_or(0, |meta| meta.len());
        if length == self.appended {
            return;
        }
        let mut text = String::new();
        let mut read = || -> io::Result<usize> {
            let mut file = File::open(self.path("exports.jsonl"))?;
            file.seek(SeekFrom::Start(self.appended))?;
            file.read_to_string(&mut text)
        };
        if read().is_ok() {
            self.appended += text.len() as u64;
            let lines = text.lines();
            let read = lines.filter_map(|line| serde_json::from_str::<(String, Digest)>(line).ok());
            self.written.extend(read);
        }
    }

    /// Notes what is about to be written; gives what was written to this path before. The caller
    /// holds the lock of the record.
    pub(super) fn note(
        &mut self,
        path: &Path,
        digest: Digest,
    ) -> Result<Option<Digest>, EngineError> {
        let name = self.places.name(path);
        if !self.cache.is_read_only() {
            let journal = self.path("exports.jsonl");
            let line = serde_json::to_string(&(&name, digest)).expect("a digest is plain data");
            // A kill may have cut the line before.
            let line = format!("\n{line}\n");
            let mut options = File::options();
            let opened = options.create(true).append(true).open(&journal);
            let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
            written.map_err(|e| EngineError::io("write", &journal, e))?;
            self.appended += line.len() as u64;
        }
        Ok(self.written.insert(name, digest))
    }

    /// Folds what was appended into the one file.
    pub(super) fn save(&mut self) -> Result<(), EngineError> {
        let journal = self.path("exports.jsonl");
        if self.cache.is_read_only() || !journal.exists() {
            return Ok(());
        }
        let _alone = self.cache.lock_file("exports.lock")?;
        self.refresh();
        let text = serde_json::to_vec_pretty(&self.written).expect("digests are plain data");
        write_atomically(&self.path("exports.json"), &text)?;
        match std::fs::remove_file(&journal) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::io("remove", &journal, e))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.cache.root().join(name)
    }
}

fn which(path: &Path) -> Option<(u64, i64, i64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec()))
}
