//! Exports: named copies of final artifacts below `outputs/`.
//!
//! A copy is never an input and never shares storage with the cache in a way that an edit could
//! reach it. What a user changed there is set aside before it is replaced, never lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::cache::{Cache, StatCache, write_atomically};
use crate::digest::{Algorithm, Digest};
use crate::error::EngineError;
use crate::graph::Node;
use crate::manifest::{Artifact, Manifest};
use crate::places::Places;
use crate::stage::OutputKind;

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
                self.found(path) != Some(artifact.digest)
            })
            .collect()
    }

    fn found(&self, path: &Path) -> Option<Digest> {
        let pin = self.stats.digest(path, Algorithm::Blake3).ok()?;
        pin.hex.parse().ok()
    }

    /// Writes the copies that [`Exports::stale`] named. Returns where a user's edit was set aside.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when a blob is; nothing was replaced by it then.
    pub(crate) fn write(&self, stale: &[(PathBuf, Artifact)]) -> Result<Vec<PathBuf>, EngineError> {
        let mut set_aside = Vec::new();
        for (path, artifact) in stale {
            set_aside.extend(self.set_aside_edit(path)?);
            match artifact.kind {
                OutputKind::File => self.cache.blobs.export(artifact.digest, path)?,
                OutputKind::Dir => self.write_folder(path, artifact.digest)?,
            }
            self.lock().insert(self.places.name(path), artifact.digest);
            // The copy is hashed now, while it is in memory, so that the next run need not.
            let _ = self.stats.digest(path, Algorithm::Blake3);
        }
        Ok(set_aside)
    }

    fn write_folder(&self, path: &Path, digest: Digest) -> Result<(), EngineError> {
        if path.exists() {
            fs_err::remove_dir_all(path).map_err(|e| EngineError::io("replace", path, e))?;
        }
        for (name, digest) in self.cache.blobs.listing(digest)?.0 {
            self.cache.blobs.export(digest, &path.join(name))?;
        }
        Ok(())
    }

    /// Moves a copy that is not as we wrote it out of the way.
    fn set_aside_edit(&self, path: &Path) -> Result<Option<PathBuf>, EngineError> {
        let Some(found) = self.found(path) else {
            return Ok(None);
        };
        // Bytes that the cache has can't be lost by replacing a copy of them.
        if self.lock().get(&self.places.name(path)) == Some(&found)
            || self.cache.blobs.contains(found)
        {
            return Ok(None);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = path.with_file_name(format!("{name}.edited-{}", &found.hex()[..8]));
        // A folder can't be moved over the one that the same edit left there before.
        if aside.is_dir() && self.found(&aside) == Some(found) {
            fs_err::remove_dir_all(path).map_err(|e| EngineError::io("replace", path, e))?;
        } else {
            fs_err::rename(path, &aside).map_err(|e| EngineError::io("move", path, e))?;
        }
        Ok(Some(aside))
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

/// What is on record.
fn read(record: &Path, places: &Places) -> BTreeMap<String, Digest> {
    let text = std::fs::read(record).unwrap_or_default();
    let written: BTreeMap<String, Digest> = serde_json::from_slice(&text).unwrap_or_default();
    let written = written.into_iter();
    written.map(|(k, v)| (places.renewed(k), v)).collect()
}
