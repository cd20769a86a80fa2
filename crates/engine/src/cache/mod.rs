//! The content-addressed cache: blobs, action records, and the stat cache.
//!
//! Layout (docs/cache-format.md): `v1/blobs/ab/cdef…`, `v1/actions/ab/cdef….json` (manifest) with
//! `….action.json` beside it, `v1/locks`, `v1/scratch`, `v1/logs`, `v1/runs`, `v1/tmp`. Everything
//! becomes visible by rename: blobs first, the manifest last.

mod action_cache;
mod blob_store;
mod files;
mod gc;
mod stat_cache;
mod usage;
mod verify;
mod walk;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use action_cache::{ActionCache, CacheStatus, MissGuard};
pub use blob_store::BlobStore;
pub use files::write_atomically;
pub use gc::{DEAR, GcOptions, GcReport, KeptRun, collect_garbage};
pub(crate) use stat_cache::source_files;
pub use stat_cache::{StatCache, files_below};
pub use usage::{StageUsage, usage};
pub use verify::{Damage, VerifyReport, verify};

use crate::error::EngineError;

/// Folder of the current format version.
pub const FORMAT: &str = "v1";
const DOWNLOADS: &str = "downloads";

/// A cache folder: blobs and action records together.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    /// Digest → bytes.
    pub blobs: BlobStore,
    /// Action key → manifest.
    pub actions: ActionCache,
}

impl Cache {
    /// Opens the cache below `folder`, making it if it is not there.
    ///
    /// # Errors
    /// When the folder can't be made or written to.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let root = folder.join(FORMAT);
        for name in [
            "blobs",
            "actions",
            "locks",
            "scratch",
            "logs",
            "tmp",
            "runs/tables",
        ] {
            let path = root.join(name);
            fs_err::create_dir_all(&path).map_err(|e| EngineError::io("create", &path, e))?;
        }
        let tag = folder.join("CACHEDIR.TAG");
        if !tag.exists() {
            let text =
                "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of cpipe.\n";
            write_atomically(&tag, text.as_bytes())?;
        }
        Ok(Self {
            blobs: BlobStore::new(root.join("blobs"), root.join("tmp")),
            actions: ActionCache::new(root.join("actions"), root.join("locks")),
            root,
        })
    }

    /// The folder of this format version.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the records of runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Holds off garbage collection while a run uses the cache.
    pub fn lock_shared(&self) -> Result<File, EngineError> {
        self.lock_with("run.lock", File::lock_shared)
    }

    /// Waits until no run uses the cache.
    pub fn lock_exclusive(&self) -> Result<File, EngineError> {
        self.lock_with("run.lock", File::lock)
    }

    /// Waits for a lock of this cache that is held for a moment.
    pub(crate) fn lock_file(&self, name: &str) -> Result<File, EngineError> {
        self.lock_with(name, File::lock)
    }

    fn lock_with(
        &self,
        name: &str,
        lock: fn(&File) -> std::io::Result<()>,
    ) -> Result<File, EngineError> {
        let path = self.root.join(name);
        let open = || {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            lock(&file)?;
            Ok(file)
        };
        open().map_err(|e| EngineError::io("lock", &path, e))
    }

    /// A new private folder for a node's outputs, on the file system of the blobs.
    pub fn temp_dir(&self) -> Result<tempfile::TempDir, EngineError> {
        let tmp = self.root.join("tmp");
        tempfile::Builder::new()
            .prefix("node-")
            .tempdir_in(&tmp)
            .map_err(|e| EngineError::io("write in", &tmp, e))
    }

    /// The folder where an interrupted action left its finished batches.
    pub fn scratch(&self, key: &str) -> PathBuf {
        self.root.join("scratch").join(key)
    }

    /// Where remote files wait until a node takes them.
    pub fn downloads(&self) -> PathBuf {
        self.root.join(DOWNLOADS)
    }

    /// The same of a cache below `folder` that need not be there yet.
    pub fn downloads_below(folder: &Path) -> PathBuf {
        folder.join(FORMAT).join(DOWNLOADS)
    }

    /// The log of an action's last attempt.
    pub fn log(&self, key: &str) -> PathBuf {
        self.root.join("logs").join(format!("{key}.log"))
    }
}
