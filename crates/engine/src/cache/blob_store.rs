use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::digest::{self, Digest};
use crate::error::EngineError;
use crate::manifest::{Artifact, Listing};
use crate::stage::OutputKind;

/// Digest → bytes, as read-only files named by their content.
#[derive(Debug)]
pub struct BlobStore {
    folder: PathBuf,
    temp: PathBuf,
    /// Blobs that this process has hashed and found whole.
    verified: Mutex<BTreeSet<Digest>>,
}

impl BlobStore {
    pub(super) fn new(folder: PathBuf, temp: PathBuf) -> Self {
        Self {
            folder,
            temp,
            verified: Mutex::default(),
        }
    }

    /// Folder of all blobs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a blob lies, whether it is there or not.
    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(&hex[..2]).join(&hex[2..])
    }

    /// Whether a blob is there; does not read it.
    pub fn contains(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Whether every blob of an artifact is there.
    pub fn contains_artifact(&self, artifact: &Artifact) -> bool {
        if !self.contains(artifact.digest) {
            return false;
        }
        match artifact.kind {
            OutputKind::File => true,
            OutputKind::Dir => self
                .listing(artifact.digest)
                .is_ok_and(|listing| listing.0.values().all(|digest| self.contains(*digest))),
        }
    }

    /// Takes a finished file out of a node's private folder: hash, sync, rename.
    ///
    /// A digest that is known already is not computed; the blob is hashed when it is first read.
    pub fn take(&self, file: &Path, known: Option<Digest>) -> Result<(Digest, u64), EngineError> {
        let failed = |e| EngineError::io("read", file, e);
        let size = fs_err::metadata(file).map_err(failed)?.len();
        if file.is_symlink() {
            // What a link leads to is not ours to move, and would change with its owner.
            let own = tempfile::NamedTempFile::new_in(&self.temp).map_err(failed)?;
            std::fs::copy(file, own.path()).map_err(failed)?;
            return self.take(own.path(), known);
        }
        let digest = match known {
            Some(digest) => digest,
            None => digest::hash_file(file).map_err(failed)?,
        };
        self.adopt(file, digest, known.is_none())
            .map_err(|e| EngineError::io("write", &self.path(digest), e))?;
        Ok((digest, size))
    }

    /// Stores bytes from memory.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, EngineError> {
        let digest = Digest::of(bytes);
        let store = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.temp)?;
            io::Write::write_all(&mut file, bytes)?;
            let path = file.into_temp_path();
            self.adopt(&path, digest, true)
        };
        store().map_err(|e| EngineError::io("write", &self.path(digest), e))?;
        Ok(digest)
    }

    fn adopt(&self, file: &Path, digest: Digest, hashed: bool) -> io::Result<()> {
        let target = self.path(digest);
        if self.is_whole(digest)? {
            return Ok(());
        }
        std::fs::create_dir_all(target.parent().unwrap_or(&self.folder))?;
        let opened = std::fs::File::open(file)?;
        opened.sync_data()?;
        let mut permissions = opened.metadata()?.permissions();
        permissions.set_readonly(true);
        opened.set_permissions(permissions)?;
        std::fs::rename(file, target)?;
        if hashed {
            self.remember(digest);
        }
        Ok(())
    }

    /// Whether the blob is there and, by a hash of its bytes at least once in this process, whole.
    fn is_whole(&self, digest: Digest) -> io::Result<bool> {
        let path = self.path(digest);
        if !path.is_file() {
            return Ok(false);
        }
        if self.lock().contains(&digest) {
            return Ok(true);
        }
        let whole = digest::hash_file(&path)? == digest;
        if whole {
            self.remember(digest);
        }
        Ok(whole)
    }

    /// The path of a blob whose bytes were checked; a damaged blob is removed.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when it is missing or its bytes are not what its name says.
    pub fn verified(&self, digest: Digest) -> Result<PathBuf, EngineError> {
        let path = self.path(digest);
        match self.is_whole(digest) {
            Ok(true) => Ok(path),
            Ok(false) => {
                self.discard(digest);
                Err(EngineError::Damaged { digest })
            }
            Err(e) => Err(EngineError::io("read", &path, e)),
        }
    }

    /// Removes a blob whose bytes are wrong, so that it counts as missing.
    pub fn discard(&self, digest: Digest) {
        self.lock().remove(&digest);
        // A blob that can't be removed is found damaged again at the next read.
        let _ = std::fs::remove_file(self.path(digest));
    }

    /// The listing of a folder artifact.
    pub fn listing(&self, digest: Digest) -> Result<Listing, EngineError> {
        let path = self.verified(digest)?;
        let text = fs_err::read_to_string(&path).map_err(|e| EngineError::io("read", &path, e))?;
        Listing::parse(&text).map_err(|reason| EngineError::Record { path, reason })
    }

    /// Copies a blob to `target`, checking the bytes of the copy; a reflink where possible.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when the copy has not the blob's digest; `target` is untouched then.
    pub fn export(&self, digest: Digest, target: &Path) -> Result<(), EngineError> {
        let failed = |e| EngineError::io("write", target, e);
        let folder = target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Beside the blobs, so that a kill leaves nothing beside the target; unless the target is on
        // another file system, to where nothing can be renamed.
        let placed = match self.place(digest, &self.temp, target) {
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                self.place(digest, folder, target)
            }
            placed => placed,
        };
        if placed.map_err(failed)? {
            return Ok(());
        }
        self.discard(digest);
        Err(EngineError::Damaged { digest })
    }

    /// Copies a blob by way of `folder`. False if its bytes are not what its name says.
    fn place(&self, digest: Digest, folder: &Path, target: &Path) -> io::Result<bool> {
        let blob = self.path(digest);
        if !blob.is_file() {
            return Ok(false);
        }
        let own = tempfile::Builder::new()
            .prefix(".cpipe-")
            .tempdir_in(folder)?;
        let copy = own.path().join("copy");
        reflink_copy::reflink_or_copy(&blob, &copy)?;
        if digest::hash_file(&copy)? != digest {
            return Ok(false);
        }
        make_writable(&copy)?;
        std::fs::rename(&copy, target)?;
        Ok(true)
    }

    fn remember(&self, digest: Digest) {
        self.lock().insert(digest);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<Digest>> {
        // A set of digests is whole even if a thread panicked while it held the lock.
        self.verified
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn make_writable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_writable(path: &Path) -> io::Result<()> {
    let mut permissions = std::fs::metadata(path)?.permissions();
    permissions.set_readonly(false);
    std::fs::set_permissions(path, permissions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;

    fn store() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        (dir, cache)
    }

    fn flip_a_bit(path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[1] ^= 4;
        make_writable(path).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_damaged_blob_never_leaves_the_store() {
        let (dir, cache) = store();
        let digest = cache.blobs.put(b"hello").unwrap();
        let again = Cache::open(dir.path()).unwrap();
        flip_a_bit(&again.blobs.path(digest));
        assert!(again.blobs.verified(digest).is_err());
        assert!(!again.blobs.contains(digest));
        let target = dir.path().join("out");
        assert!(again.blobs.export(digest, &target).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn an_export_checks_the_copy_even_of_a_blob_that_was_whole_before() {
        let (dir, cache) = store();
        let digest = cache.blobs.put(b"hello").unwrap();
        flip_a_bit(&cache.blobs.path(digest));
        assert!(cache.blobs.export(digest, &dir.path().join("out")).is_err());
    }

    #[test]
    fn editing_an_export_leaves_the_blob_alone() {
        let (dir, cache) = store();
        let digest = cache.blobs.put(b"hello").unwrap();
        let target = dir.path().join("a/b/out");
        cache.blobs.export(digest, &target).unwrap();
        std::fs::write(&target, b"edited").unwrap();
        assert_eq!(std::fs::read(cache.blobs.path(digest)).unwrap(), b"hello");
    }

    #[test]
    fn storing_over_a_damaged_blob_repairs_it() {
        let (dir, cache) = store();
        let digest = cache.blobs.put(b"hello").unwrap();
        flip_a_bit(&cache.blobs.path(digest));
        let again = Cache::open(dir.path()).unwrap();
        again.blobs.put(b"hello").unwrap();
        assert_eq!(std::fs::read(again.blobs.path(digest)).unwrap(), b"hello");
    }
}
