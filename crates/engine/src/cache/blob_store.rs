use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::files::umask;
use crate::digest::{self, Digest};
use crate::error::EngineError;
use crate::manifest::Artifact;
use crate::stage::OutputKind;
use crate::tree::{self, Fault, Tree, copy_file};

/// Larger blobs are copied by the file system and hashed afterwards.
const IN_MEMORY: u64 = 256 * 1024;

/// When a blob becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before it is visible.
    Now,
    /// With [`BlobStore::sync`], which has to come before any manifest that names it. Until then a
    /// crash of the machine may leave a blob without its bytes, which counts as missing.
    Later,
}

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
                .is_ok_and(|listing| listing.contents().all(|digest| self.contains(*digest))),
        }
    }

    /// Takes a finished regular file out of a node's private folder: hash, sync, rename.
    ///
    /// A file with more than one name is copied: another name may be the user's. So is one that some
    /// process still has open for writing: what it writes later must not reach the blob. A digest that is
    /// known already is not computed; the blob is hashed when it is first read.
    pub fn take(
        &self,
        file: &Path,
        known: Option<Digest>,
        sync: Sync,
    ) -> Result<(Digest, u64), EngineError> {
        let failed = |e| EngineError::io("read", file, e);
        let meta = std::fs::symlink_metadata(file).map_err(failed)?;
        if !meta.is_file() {
            let fault = Fault::of(meta.file_type());
            return Err(EngineError::entry(file, fault));
        }
        let copied = || {
            let mut copy = self.new_file()?;
            io::copy(&mut std::fs::File::open(file)?, copy.as_file_mut())?;
            io::Result::Ok(copy.into_temp_path())
        };
        if meta.nlink() > 1 {
            return self.take(&copied().map_err(failed)?, known, sync);
        }
        // From here on it is the cache's; also a file that its program left unreadable.
        make_read_only(file).map_err(failed)?;
        if is_being_written(file) {
            return self.take(&copied().map_err(failed)?, known, sync);
        }
        let digest = match known {
            Some(digest) => digest,
            None => digest::hash_file(file).map_err(failed)?,
        };
        self.adopt(file, digest, known.is_none(), sync)
            .map_err(|e| EngineError::io("write", &self.path(digest), e))?;
        Ok((digest, meta.len()))
    }

    /// Makes all blobs durable that were taken with [`Sync::Later`], in one go.
    pub fn sync(&self) -> Result<(), EngineError> {
        let folder = std::fs::File::open(&self.folder);
        let synced = folder.and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
        synced.map_err(|e| EngineError::io("sync", &self.folder, e))
    }

    /// Stores bytes from memory.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, EngineError> {
        let digest = Digest::of(bytes);
        let store = || {
            let mut file = self.new_file()?;
            io::Write::write_all(&mut file, bytes)?;
            make_read_only(file.path())?;
            self.adopt(&file.into_temp_path(), digest, true, Sync::Now)
        };
        store().map_err(|e| EngineError::io("write", &self.path(digest), e))?;
        Ok(digest)
    }

    /// Renames a read-only file to what it is.
    fn adopt(&self, file: &Path, digest: Digest, hashed: bool, sync: Sync) -> io::Result<()> {
        let target = self.path(digest);
        if self.is_whole(digest)? {
            return Ok(());
        }
        std::fs::create_dir_all(target.parent().unwrap_or(&self.folder))?;
        if sync == Sync::Now {
            std::fs::File::open(file)?.sync_data()?;
        }
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
    pub fn listing(&self, digest: Digest) -> Result<Tree<Digest>, EngineError> {
        let path = self.verified(digest)?;
        let text = fs_err::read_to_string(&path).map_err(|e| EngineError::io("read", &path, e))?;
        Tree::parse(&text).map_err(|reason| EngineError::Record { path, reason })
    }

    /// Makes a new copy of an artifact, checking every byte of it.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when a copy has not the blob's digest.
    pub(crate) fn copy_artifact(
        &self,
        artifact: &Artifact,
        copy: &Path,
    ) -> Result<(), EngineError> {
        match artifact.kind {
            OutputKind::File => self.copy(artifact.digest, copy, artifact.executable),
            OutputKind::Dir => self
                .listing(artifact.digest)?
                .place(copy, |digest, path, executable| {
                    self.copy(*digest, path, executable)
                }),
        }
    }

    /// Private folders in which something can be made that is then renamed into `folder`: beside the
    /// blobs, so that a kill leaves nothing in `folder`; else in it, where the first is on another
    /// file system, can't be written to, or gives its files another group.
    pub(crate) fn private_folders(
        &self,
        folder: &Path,
    ) -> impl Iterator<Item = io::Result<tempfile::TempDir>> {
        let given = |folder: &Path| {
            let meta = std::fs::metadata(folder).ok()?;
            let group = (meta.mode() & 0o2000 != 0).then(|| meta.gid());
            Some((meta.dev(), group))
        };
        let alike = given(&self.temp).is_some() && given(&self.temp) == given(folder);
        let beside = alike.then(|| private_folder(&self.temp).ok()).flatten();
        let near = std::iter::once_with(|| private_folder(folder));
        beside.map(Ok).into_iter().chain(near)
    }

    /// Copies a blob to a new file and checks the bytes that were written.
    fn copy(&self, digest: Digest, target: &Path, executable: bool) -> Result<(), EngineError> {
        let blob = self.path(digest);
        let copied = match std::fs::metadata(&blob) {
            Ok(meta) if meta.len() <= IN_MEMORY => std::fs::read(&blob).and_then(|bytes| {
                io::Write::write_all(&mut tree::create(target, executable)?, &bytes)?;
                Ok(Digest::of(&bytes))
            }),
            Ok(_) => copy_file(&blob, target, executable).and_then(|()| digest::hash_file(target)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(EngineError::Damaged { digest });
            }
            Err(e) => Err(e),
        };
        if copied.map_err(|e| EngineError::io("write", target, e))? == digest {
            return Ok(());
        }
        self.discard(digest);
        Err(EngineError::Damaged { digest })
    }

    fn new_file(&self) -> io::Result<tempfile::NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        let mode = std::fs::Permissions::from_mode(0o666);
        builder.permissions(mode).tempfile_in(&self.temp)
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

/// Whether some process has a file open for writing, as the kernel says that grants read leases only
/// on files that nobody has. False where it grants none.
#[expect(unsafe_code, reason = "leases have no safe wrapper")]
fn is_being_written(path: &Path) -> bool {
    let Ok(file) = std::fs::File::open(path) else {
        return false;
    };
    let lease = |kind: i32| {
        // SAFETY: the descriptor is open, and the command takes one integer.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) }
    };
    if lease(libc::F_RDLCK) == 0 {
        // Given back at once: it was only a question.
        lease(libc::F_UNLCK);
        return false;
    }
    io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
}

fn private_folder(parent: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(".cpipe-")
        .tempdir_in(parent)
}

/// Leaves only the rights to read, to those to whom the user's umask gives them.
fn make_read_only(path: &Path) -> io::Result<()> {
    let mode = 0o444 & !umask();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o400))
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

    fn file(digest: Digest) -> Artifact {
        Artifact {
            kind: OutputKind::File,
            digest,
            size: 5,
            executable: false,
        }
    }

    fn flip_a_bit(path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[1] ^= 4;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
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
        assert!(again.blobs.copy_artifact(&file(digest), &target).is_err());
    }

    #[test]
    fn an_export_checks_the_copy_even_of_a_blob_that_was_whole_before() {
        let (dir, cache) = store();
        let digest = cache.blobs.put(b"hello").unwrap();
        flip_a_bit(&cache.blobs.path(digest));
        assert!(
            cache
                .blobs
                .copy_artifact(&file(digest), &dir.path().join("out"))
                .is_err()
        );
    }

    #[test]
    fn editing_an_export_leaves_the_blob_alone() {
        let (dir, cache) = store();
        let digest = cache.blobs.put(b"hello").unwrap();
        let target = dir.path().join("out");
        cache.blobs.copy_artifact(&file(digest), &target).unwrap();
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
