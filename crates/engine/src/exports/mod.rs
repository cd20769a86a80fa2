//! Exports: named copies of final artifacts below `outputs/`.
//!
//! A copy is never an input and never shares storage with the cache in a way that an edit could
//! reach it. Only what is proven to be a copy of ours is replaced: what a user changed or put there,
//! and what can't be read or compared, is set aside first.

mod record;
mod replace;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use record::Record;
use replace::{replace, set_aside};

use crate::cache::{Cache, StatCache};
use crate::digest::Digest;
use crate::error::EngineError;
use crate::graph::Node;
use crate::manifest::{Artifact, Manifest};
use crate::plan::Workspace;
use crate::stage::OutputKind;
use crate::tree::{self, create, is_executable};

/// The copies of one `outputs/` folder.
pub(crate) struct Exports<'a> {
    cache: &'a Cache,
    stats: &'a StatCache,
    outputs: PathBuf,
    record: Mutex<Record<'a>>,
}

impl<'a> Exports<'a> {
    /// The copies below `outputs`.
    pub(crate) fn open(cache: &'a Cache, stats: &'a StatCache, outputs: &Path) -> Self {
        Self {
            cache,
            stats,
            outputs: outputs.to_owned(),
            record: Mutex::new(Record::open(cache)),
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
            .filter(|(path, artifact): &(PathBuf, Artifact)| !self.is_wanted(path, artifact))
            .collect()
    }

    /// Writes the copies that [`Exports::stale`] named. Returns where what was the user's was set
    /// aside.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when a blob is; nothing was replaced by it then.
    pub(crate) fn write(&self, stale: &[(PathBuf, Artifact)]) -> Result<Vec<PathBuf>, EngineError> {
        if stale.is_empty() {
            return Ok(Vec::new());
        }
        let _alone = self.alone()?;
        let mut kept = Vec::new();
        for (path, artifact) in stale {
            // Another run may have written it meanwhile.
            if !self.is_wanted(path, artifact) {
                let make = |copy: &Path| self.cache.blobs.copy_artifact(artifact, copy);
                kept.extend(self.put(path, artifact, make)?);
            }
        }
        Ok(kept)
    }

    /// Writes a file that is no artifact. Returns where what was the user's was set aside.
    fn write_page(&self, path: &Path, bytes: &[u8]) -> Result<Vec<PathBuf>, EngineError> {
        let wanted = Artifact {
            kind: OutputKind::File,
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            executable: false,
        };
        let alone = self.alone()?;
        let make = |copy: &Path| {
            let written = create(copy, false).and_then(|mut file| file.write_all(bytes));
            written.map_err(|e| EngineError::io("write", path, e))
        };
        let kept = self.put(path, &wanted, make)?;
        drop(alone);
        self.record().save()?;
        Ok(kept)
    }

    /// Only one run at a time writes copies, and it knows what the others have written.
    fn alone(&self) -> Result<Option<File>, EngineError> {
        let alone = self.cache.lock_file("exports.lock")?;
        self.record().refresh();
        Ok(alone)
    }

    /// Makes a copy beside the others, then puts it in its place. What was there is removed if it is
    /// proven to be ours; that is looked at when it is out of everybody's way.
    fn put(
        &self,
        path: &Path,
        wanted: &Artifact,
        make: impl Fn(&Path) -> Result<(), EngineError>,
    ) -> Result<Vec<PathBuf>, EngineError> {
        let failed = |e| EngineError::io("write", path, e);
        let mut kept = Vec::new();
        while let Some(obstacle) = self.obstacle(path) {
            let aside = set_aside(&obstacle).map_err(|e| EngineError::io("move", &obstacle, e))?;
            kept.extend(aside);
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        for folder in [&self.outputs, folder] {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|e| EngineError::io("create the folder", folder, e))?;
        }
        let mut replaced = Err(io::ErrorKind::CrossesDevices.into());
        let mut earlier = None;
        for private in self.cache.blobs.private_folders(folder) {
            let copy = private.map_err(failed)?;
            let copy = copy.path().join("copy");
            make(&copy)?;
            let before = self.record().note(path, wanted.digest)?;
            earlier = earlier.or(before);
            replaced = replace(&copy, path);
            let crosses = |e: &io::Error| e.kind() == io::ErrorKind::CrossesDevices;
            if !replaced.as_ref().is_err_and(crosses) {
                break;
            }
        }
        for aside in replaced.map_err(failed)? {
            if self.is_disposable(&aside, wanted, earlier) {
                tree::remove(&aside).map_err(|e| EngineError::io("remove", &aside, e))?;
            } else {
                kept.push(aside);
            }
        }
        Ok(kept)
    }

    /// Whether a path holds the copy as it should be.
    fn is_wanted(&self, path: &Path, wanted: &Artifact) -> bool {
        self.obstacle(path).is_none() && self.found(path) == Some(identity(wanted))
    }

    /// Whether what was replaced is what we wrote there before, or the same as what is there now.
    fn is_disposable(&self, path: &Path, wanted: &Artifact, earlier: Option<Digest>) -> bool {
        let found = self.found(path);
        found == Some(identity(wanted))
            || found.is_some_and(|(_, digest, _)| Some(digest) == earlier)
    }

    /// What is at a path; none if nothing is there or it can't be read or compared.
    fn found(&self, path: &Path) -> Option<(OutputKind, Digest, bool)> {
        let meta = path.symlink_metadata().ok()?;
        let digest = self.stats.digest_of_copy(path).ok()?;
        if meta.is_dir() {
            Some((OutputKind::Dir, digest, false))
        } else {
            Some((OutputKind::File, digest, is_executable(&meta)))
        }
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

    /// Folds what was written now into the record.
    pub(crate) fn save(&self) -> Result<(), EngineError> {
        self.record().save()
    }

    fn record(&self) -> MutexGuard<'_, Record<'a>> {
        // What was read stays right if a thread panics.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(artifact: &Artifact) -> (OutputKind, Digest, bool) {
    (artifact.kind, artifact.digest, artifact.executable)
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
) -> Result<Vec<PathBuf>, EngineError> {
    let exports = Exports::open(workspace.cache, workspace.stats, &workspace.outputs);
    exports.write_page(&workspace.outputs.join(name), bytes)
}
