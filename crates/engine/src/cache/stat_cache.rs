use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::files::is_denied;
use super::write_atomically;
use crate::digest::{self, Algorithm, Digest, Pin};
use crate::error::EngineError;
use crate::places::Places;
use crate::tree::{self, Links};

/// A file hashed this soon after its last change may change again within the same time stamp.
const SETTLED: Duration = Duration::from_secs(2);

/// What the file system says of a file; equal stats mean equal content, unless still settling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stat {
    size: u64,
    modified: i128,
    changed: i128,
    inode: u64,
    device: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    stat: Stat,
    settled: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    blake3: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sha256: Option<String>,
}

/// What `stat.json` holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// By name, as [`Places`] writes it: the file is shared with the cache.
    files: BTreeMap<String, Entry>,
    /// The BLAKE3 digest of each source when it was last seen.
    sources: BTreeMap<String, String>,
    #[serde(skip)]
    dirty: bool,
}

/// Digests of files outside the cache, remembered by size, times and inode.
///
/// Only ever a shortcut to a hash of the content: a lost or wrong entry costs one hash.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    places: Places,
    rehash: bool,
    state: Mutex<State>,
}

impl State {
    /// The same without absolute paths.
    fn renewed(mut self, places: &Places) -> Self {
        let mut names = self.files.keys().chain(self.sources.keys());
        if names.any(|name| name.starts_with('/')) {
            let files = self.files.into_iter();
            self.files = files.map(|(k, v)| (places.renewed(k), v)).collect();
            let sources = self.sources.into_iter();
            self.sources = sources.map(|(k, v)| (places.renewed(k), v)).collect();
            self.dirty = true;
        }
        self
    }
}

impl StatCache {
    /// Reads the stat cache of a cache folder; with `rehash` nothing in it is believed.
    pub fn open(root: &Path, rehash: bool) -> Self {
        let path = root.join("stat.json");
        let state: State = std::fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let places = Places::of_cache(root);
        Self {
            path,
            rehash,
            state: Mutex::new(state.renewed(&places)),
            places,
        }
    }

    /// The digest of a source: of a file, or of a folder's listing.
    pub fn digest(&self, path: &Path, algorithm: Algorithm) -> Result<Pin, EngineError> {
        let pin = tree::pin(path, Links::OfSource, algorithm, |path| {
            self.file(path, algorithm)
        })?;
        self.remember_source(path, &pin);
        Ok(pin)
    }

    /// The digest of what is at `path`, where a link is a link.
    pub(crate) fn digest_of_copy(&self, path: &Path) -> Result<Digest, EngineError> {
        let algorithm = Algorithm::Blake3;
        let pin = tree::pin(path, Links::OfCopy, algorithm, |path| {
            self.file(path, algorithm)
        })?;
        pin.hex.parse().map_err(EngineError::NotFound)
    }

    fn file(&self, path: &Path, algorithm: Algorithm) -> io::Result<String> {
        let stat = stat(path)?;
        if !self.rehash
            && let Some(hex) = self.known(path, stat, algorithm)
        {
            return Ok(hex);
        }
        let hex = match algorithm {
            Algorithm::Blake3 => digest::hash_file(path)?.hex(),
            Algorithm::Sha256 => digest::sha256_file(path)?,
        };
        self.remember(path, stat, algorithm, &hex);
        Ok(hex)
    }

    /// The BLAKE3 digest of a file that was hashed before and has not changed since.
    pub(crate) fn hashed(&self, path: &Path) -> Option<Digest> {
        let hex = self.known(path, stat(path).ok()?, Algorithm::Blake3)?;
        hex.parse().ok()
    }

    fn known(&self, path: &Path, stat: Stat, algorithm: Algorithm) -> Option<String> {
        let state = self.lock();
        let entry = state.files.get(&self.places.name(path))?;
        let hex = match algorithm {
            Algorithm::Blake3 => entry.blake3.clone(),
            Algorithm::Sha256 => entry.sha256.clone(),
        };
        hex.filter(|_| entry.settled && entry.stat == stat)
    }

    fn remember(&self, path: &Path, stat: Stat, algorithm: Algorithm, hex: &str) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let newest = stat.modified.max(stat.changed);
        let settled = now.as_nanos() as i128 - newest > SETTLED.as_nanos() as i128;
        let mut state = self.lock();
        state.dirty = true;
        let entry = state.files.entry(self.places.name(path)).or_insert(Entry {
            stat,
            settled,
            blake3: None,
            sha256: None,
        });
        if entry.stat != stat {
            (entry.blake3, entry.sha256) = (None, None);
        }
        (entry.stat, entry.settled) = (stat, settled);
        match algorithm {
            Algorithm::Blake3 => entry.blake3 = Some(hex.to_owned()),
            Algorithm::Sha256 => entry.sha256 = Some(hex.to_owned()),
        }
    }

    /// Remembers a whole source, so that its digest is known when it is gone.
    fn remember_source(&self, path: &Path, pin: &Pin) {
        if pin.algorithm != Algorithm::Blake3 {
            return;
        }
        let name = self.places.name(path);
        let mut state = self.lock();
        if state.sources.get(&name) != Some(&pin.hex) {
            state.sources.insert(name, pin.hex.clone());
            state.dirty = true;
        }
    }

    /// The BLAKE3 digest that a source had when it was last seen.
    pub fn last_known(&self, path: &Path) -> Option<Pin> {
        let hex = self.lock().sources.get(&self.places.name(path))?.clone();
        Some(Pin {
            algorithm: Algorithm::Blake3,
            hex,
        })
    }

    /// Writes the stat cache back if anything in it changed.
    pub fn save(&self) -> Result<(), EngineError> {
        let mut state = self.lock();
        if !state.dirty {
            return Ok(());
        }
        let text = serde_json::to_vec(&*state).expect("entries are plain data");
        match write_atomically(&self.path, &text) {
            // A cache that is only read has no use for shortcuts of its own.
            Err(EngineError::Io { source, .. }) if is_denied(&source) => Ok(()),
            written => {
                state.dirty = false;
                written
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Entries are written whole, so a panic elsewhere leaves a map that is still right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stat(path: &Path) -> io::Result<Stat> {
    let meta = std::fs::metadata(path)?;
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Ok(Stat {
        size: meta.len(),
        modified: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        changed: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        inode: meta.ino(),
        device: meta.dev(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_digest_of_its_listing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        std::fs::write(dir.path().join("b/x"), "1").unwrap();
        std::fs::write(dir.path().join("a"), "2").unwrap();
        let stats = StatCache::open(dir.path(), false);
        let found = stats.digest(dir.path(), Algorithm::Blake3).unwrap();
        let listing = format!("{}  a\n{}  b/x\n", Digest::of(b"2"), Digest::of(b"1"));
        assert_eq!(found.hex, Digest::of(listing.as_bytes()).hex());
    }

    #[test]
    fn a_change_that_keeps_size_and_time_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "old").unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let stats = StatCache::open(dir.path(), false);
        let old = stats.digest(&path, Algorithm::Blake3).unwrap();
        std::fs::write(&path, "new").unwrap();
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
        assert_ne!(stats.digest(&path, Algorithm::Blake3).unwrap(), old);
    }

    #[test]
    fn the_last_digest_of_a_source_outlives_it() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("f"), "1").unwrap();
        let stats = StatCache::open(dir.path(), false);
        let pin = stats.digest(&source, Algorithm::Blake3).unwrap();
        stats.save().unwrap();
        std::fs::remove_dir_all(&source).unwrap();
        let stats = StatCache::open(dir.path(), false);
        assert_eq!(stats.last_known(&source), Some(pin));
        assert!(stats.digest(&source, Algorithm::Blake3).is_err());
    }
}
