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

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use action_cache::{ActionCache, CacheStatus, MissGuard};
pub use blob_store::{BlobStore, Sync};
pub use files::write_atomically;
use files::{is_denied, is_writable};
pub use gc::{DEAR, Dropped, GcOptions, GcReport, KeptRun, collect_garbage};
pub use stat_cache::StatCache;
pub use usage::{StageUsage, usage};
pub use verify::{Damage, VerifyReport, verify};
pub(crate) use walk::files_below;

use crate::error::EngineError;
use crate::tree;

/// Folder of the current format version.
pub const FORMAT: &str = "v1";
const DOWNLOADS: &str = "downloads";

/// The folders of a cache that a run writes to.
const FOLDERS: [&str; 7] = [
    "blobs",
    "actions",
    "locks",
    "scratch",
    "logs",
    "tmp",
    "runs/tables",
];

/// Makes what is not there of a cache.
fn prepare(folder: &Path, root: &Path) -> Result<(), EngineError> {
    for name in FOLDERS {
        let path = root.join(name);
        fs_err::create_dir_all(&path).map_err(|e| EngineError::io("create", &path, e))?;
    }
    let tag = folder.join("CACHEDIR.TAG");
    if !tag.exists() {
        let text =
            "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of cpipe.\n";
        write_atomically(&tag, text.as_bytes())?;
    }
    Ok(())
}

/// A node's private folder, which is removed whatever its program left there.
#[derive(Debug)]
pub struct NodeFolder {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl NodeFolder {
    fn own(path: PathBuf) -> std::io::Result<Self> {
        let meta = path.symlink_metadata()?;
        Ok(Self {
            path,
            device: meta.dev(),
            inode: meta.ino(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still the folder that was made, and nothing that a program put in its place.
    pub fn is_there(&self) -> bool {
        let same =
            |meta: Metadata| meta.is_dir() && (meta.dev(), meta.ino()) == (self.device, self.inode);
        self.path.symlink_metadata().is_ok_and(same)
    }
}

impl Drop for NodeFolder {
    fn drop(&mut self) {
        // What can't be removed now is left to `gc`.
        let _ = tree::remove(&self.path);
    }
}

/// A cache folder: blobs and action records together.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    read_only: bool,
    /// Digest → bytes.
    pub blobs: BlobStore,
    /// Action key → manifest.
    pub actions: ActionCache,
}

impl Cache {
    /// Opens the cache below `folder`, making it if it is not there. One that can't be written to is
    /// opened all the same, to be read.
    ///
    /// # Errors
    /// When there is something else in its place.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let root = folder.join(FORMAT);
        let read_only = match prepare(folder, &root) {
            Ok(()) => !FOLDERS.iter().all(|name| is_writable(&root.join(name))),
            Err(EngineError::Io { source, .. }) if is_denied(&source) => true,
            Err(error) => return Err(error),
        };
        Ok(Self {
            blobs: BlobStore::new(root.join("blobs"), root.join("tmp")),
            actions: ActionCache::new(root.join("actions"), root.join("locks")),
            root,
            read_only,
        })
    }

    /// Whether this user can only read it. Then nothing can be recorded, and nothing can run.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The folder of this format version.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the records of runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Holds off garbage collection while a run uses the cache. None where nobody can lock it.
    pub fn lock_shared(&self) -> Result<Option<File>, EngineError> {
        self.lock_with("run.lock", File::lock_shared)
    }

    /// Waits until no run uses the cache.
    pub fn lock_exclusive(&self) -> Result<Option<File>, EngineError> {
        self.lock_with("run.lock", File::lock)
    }

    /// Waits for a lock of this cache that is held for a moment.
    pub(crate) fn lock_file(&self, name: &str) -> Result<Option<File>, EngineError> {
        self.lock_with(name, File::lock)
    }

    fn lock_with(
        &self,
        name: &str,
        lock: fn(&File) -> std::io::Result<()>,
    ) -> Result<Option<File>, EngineError> {
        let path = self.root.join(name);
        let open = || {
            let file = files::open_lock(&path)?;
            lock(&file)?;
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Some(file)),
            Err(_) if self.read_only => Ok(None),
            Err(e) => Err(EngineError::io("lock", &path, e)),
        }
    }

    /// A new private folder for a node's outputs, on the file system of the blobs.
    pub fn node_folder(&self) -> Result<NodeFolder, EngineError> {
        let tmp = self.root.join("tmp");
        tempfile::Builder::new()
            .prefix("node-")
            .tempdir_in(&tmp)
            .and_then(|folder| NodeFolder::own(folder.keep()))
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
