//! Exports: named copies of final artifacts below `outputs/`.
//!
//! A copy is never an input and never shares storage with the cache in a way that an edit could
//! reach it. Only what is proven to be a copy of ours is replaced: what a user changed or put there,
//! and what can't be read or compared, is set aside first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::cache::{Cache, StatCache, write_atomically};
use crate::digest::Digest;
use crate::error::EngineError;
use crate::graph::Node;
use crate::manifest::{Artifact, Manifest};
use crate::places::Places;
use crate::plan::Workspace;
use crate::stage::OutputKind;
use crate::tree::is_executable;

/// Bytes of a name that are kept when it gets an ending: a file name has 255 at most.
const LONGEST_KEPT: usize = 220;

/// The copies of one `outputs/` folder.
pub(crate) struct Exports<'a> {
    cache: &'a Cache,
    stats: &'a StatCache,
    outputs: PathBuf,
    record: PathBuf,
    places: Places,
    /// Path, as [`Places`] writes it → digest of what was last written there.
    written: Mutex<BTreeMap<String, Digest>>,
}

impl<'a> Exports<'a> {
    /// The copies below `outputs`.
    pub(crate) fn open(cache: &'a Cache, stats: &'a StatCache, outputs: &Path) -> Self {
        let record = cache.root().join("exports.json");
        let places = Places::of_cache(cache.root());
        Self {
            cache,
            stats,
            outputs: outputs.to_owned(),
            written: Mutex::new(read(&record, &places)),
            record,
            places,
        }
    }

    /// The artifacts of a node whose copies are missing or differ, with where they go.
    pub(crate) fn stale(&self, node: &Node, manifest: &Manifest) -> Vec<(PathBuf, Artifact)> {
        let Some(folder) = &node.export else {
            return Vec::new();
        };
        manifest
            .outputs
            .iter()
            .map(|(name, artifact)| (self.outputs.join(folder).join(name), *artifact))
            // Without the `.` of `export: .`, which a person would stumble over.
            .map(|(path, artifact)| (path.components().collect(), artifact))
            .filter(|(path, artifact): &(PathBuf, Artifact)| {
                self.look(path, artifact) != There::Wanted
            })
            .collect()
    }

    /// Writes the copies that [`Exports::stale`] named. Returns where what was the user's was set
    /// aside.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when a blob is; nothing was replaced by it then.
    pub(crate) fn write(&self, stale: &[(PathBuf, Artifact)]) -> Result<Vec<PathBuf>, EngineError> {
        let mut set_aside = Vec::new();
        for (path, artifact) in stale {
            set_aside.extend(self.make_way(path, artifact)?);
            self.cache.blobs.export(artifact, path)?;
            self.lock().insert(self.places.name(path), artifact.digest);
        }
        Ok(set_aside)
    }

    /// What is in the place of a copy.
    fn look(&self, path: &Path, wanted: &Artifact) -> There {
        if self.obstacle(path).is_some() {
            return There::Foreign;
        }
        let Ok(meta) = path.symlink_metadata() else {
            return There::Nothing;
        };
        let kind = if meta.is_dir() {
            OutputKind::Dir
        } else {
            OutputKind::File
        };
        let Ok(found) = self.stats.digest_of_copy(path) else {
            return There::Foreign;
        };
        let executable = meta.is_file() && is_executable(&meta);
        if (kind, found, executable) == (wanted.kind, wanted.digest, wanted.executable) {
            There::Wanted
        } else if self.is_ours(path, kind, found) {
            There::Ours
        } else {
            There::Foreign
        }
    }

    /// Whether we wrote this there, or the cache has every byte of it: a killed run leaves copies
    /// that it had no time to record.
    fn is_ours(&self, path: &Path, kind: OutputKind, found: Digest) -> bool {
        let blobs = &self.cache.blobs;
        self.lock().get(&self.places.name(path)) == Some(&found)
            || blobs.verified(found).is_ok()
                && (kind == OutputKind::File
                    || blobs.listing(found).is_ok_and(|listing| {
                        listing
                            .contents()
                            .all(|digest| blobs.verified(*digest).is_ok())
                    }))
    }

    /// Writes a file that is no artifact. Returns where what was the user's was set aside.
    fn write_page(&self, path: &Path, bytes: &[u8]) -> Result<Option<PathBuf>, EngineError> {
        let wanted = Artifact {
            kind: OutputKind::File,
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            executable: false,
        };
        let aside = self.make_way(path, &wanted)?;
        write_atomically(path, bytes)?;
        self.lock().insert(self.places.name(path), wanted.digest);
        self.save()?;
        Ok(aside)
    }

    /// What is in the place of a folder on the way from `outputs` to a copy, and is none.
    fn obstacle(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.outputs).ok()?.parent()?;
        let mut folder = self.outputs.clone();
        for part in below {
            folder.push(part);
            if !folder.symlink_metadata().ok()?.is_dir() {
                return Some(folder);
            }
        }
        None
    }

    /// Sets aside whatever is in the way and is not proven to be a copy of ours.
    fn make_way(&self, path: &Path, wanted: &Artifact) -> Result<Option<PathBuf>, EngineError> {
        if let Some(obstacle) = self.obstacle(path) {
            return set_aside(&obstacle).map(Some);
        }
        match self.look(path, wanted) {
            There::Foreign => set_aside(path).map(Some),
            There::Nothing | There::Wanted | There::Ours => Ok(None),
        }
    }

    /// Adds what was written now to the record; other runs may have added to it meanwhile.
    pub(crate) fn save(&self) -> Result<(), EngineError> {
        let written = self.lock();
        let earlier = read(&self.record, &self.places);
        if written
            .iter()
            .all(|(path, digest)| earlier.get(path) == Some(digest))
        {
            return Ok(());
        }
        if self.cache.is_read_only() {
            return Ok(());
        }
        let _alone = self.cache.lock_file("exports.lock")?;
        let mut all = read(&self.record, &self.places);
        all.extend(written.iter().map(|(path, digest)| (path.clone(), *digest)));
        let text = serde_json::to_vec_pretty(&all).expect("digests are plain data");
        write_atomically(&self.record, &text)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Digest>> {
        self.written
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Writes the page `name` in the outputs of a pipeline. Returns where what was the user's in its
/// place was set aside.
///
/// # Errors
/// When it can't be written.
pub fn write_page(
    workspace: &Workspace<'_>,
    name: &str,
    bytes: &[u8],
) -> Result<Option<PathBuf>, EngineError> {
    let exports = Exports::open(workspace.cache, workspace.stats, &workspace.outputs);
    exports.write_page(&workspace.outputs.join(name), bytes)
}

/// What is in the place of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Nothing,
    /// The copy, as it should be.
    Wanted,
    /// A copy of something else, as we wrote it.
    Ours,
    /// Anything else, also what can't be read: it counts as the user's.
    Foreign,
}

/// Renames something to a name beside it that is free. Returns that name.
fn set_aside(path: &Path) -> Result<PathBuf, EngineError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kept = name.char_indices().take_while(|(at, _)| *at < LONGEST_KEPT);
    let name: String = kept.map(|(_, c)| c).collect();
    let mut number = 1_u64;
    let mut aside = path.with_file_name(format!("{name}.edited-{number}"));
    while aside.symlink_metadata().is_ok() {
        number += 1;
        aside = path.with_file_name(format!("{name}.edited-{number}"));
    }
    fs_err::rename(path, &aside).map_err(|e| EngineError::io("move", path, e))?;
    Ok(aside)
}

/// What is on record.
fn read(record: &Path, places: &Places) -> BTreeMap<String, Digest> {
    let text = std::fs::read(record).unwrap_or_default();
    let written: BTreeMap<String, Digest> = serde_json::from_slice(&text).unwrap_or_default();
    let written = written.into_iter();
    written.map(|(k, v)| (places.renewed(k), v)).collect()
}
