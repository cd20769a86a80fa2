//! Where files from web servers wait below `downloads`, each in a folder of its own.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cpipe_engine::digest::Algorithm;
use cpipe_engine::spec::UrlSource;

use crate::error::CorpusError;
use crate::fetch::remove_folder;

/// The folder of one file; nobody else uses it meanwhile.
pub(crate) struct Staging {
    pub(crate) folder: PathBuf,
    /// The files that it unpacked to, whole.
    pub(crate) files: PathBuf,
    _lock: File,
}

impl Staging {
    /// Waits until nobody uses the folder.
    pub(crate) fn open(downloads: &Path, source: &UrlSource) -> Result<Self, CorpusError> {
        let question = format!("{:?} {:?} {:?}", source.urls, source.unpack, source.take);
        let folder = downloads.join(Algorithm::Blake3.hash(question.as_bytes()));
        let path = folder.join("lock");
        let lock = lock(&folder, &path).map_err(|e| CorpusError::io(&path, e))?;
        Ok(Self {
            files: folder.join("files"),
            folder,
            _lock: lock,
        })
    }

    pub(crate) fn clear(&self) -> Result<(), CorpusError> {
        remove_folder(&self.files)
    }
}

/// Holds the file at `path`. One that was removed while we waited for it holds off nobody.
fn lock(folder: &Path, path: &Path) -> std::io::Result<File> {
    loop {
        std::fs::create_dir_all(folder)?;
        let file = match open(path) {
            // The folder was removed again.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other?,
        };
        file.lock()?;
        let ours = file.metadata()?;
        if std::fs::metadata(path).is_ok_and(|there| there.ino() == ours.ino()) {
            return Ok(file);
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).open(path)
}

/// What [`clear_downloads`] removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Downloads.
    pub count: usize,
    /// Bytes that lay in them.
    pub bytes: u64,
}

/// Removes from the folder `downloads` what was last written to before `since` and what nobody holds.
///
/// # Errors
/// When something can't be read or removed.
pub fn clear_downloads(
    downloads: &Path,
    since: SystemTime,
    dry_run: bool,
) -> Result<Cleared, CorpusError> {
    let mut cleared = Cleared::default();
    // No folder, no downloads.
    for entry in std::fs::read_dir(downloads).into_iter().flatten() {
        let folder = entry.map_err(|e| CorpusError::io(downloads, e))?.path();
        if !folder.is_dir() {
            continue;
        }
        let path = folder.join("lock");
        let lock = open(&path).map_err(|e| CorpusError::io(&path, e))?;
        if lock.try_lock().is_err() {
            continue;
        }
        let (bytes, written) = content(&folder).map_err(|e| CorpusError::io(&folder, e))?;
        if written >= since {
            continue;
        }
        if !dry_run {
            remove_folder(&folder)?;
        }
        cleared.count += 1;
        cleared.bytes += bytes;
    }
    Ok(cleared)
}

/// Bytes of all files below a folder, and when the last of them was written.
fn content(folder: &Path) -> std::io::Result<(u64, SystemTime)> {
    let (mut bytes, mut written) = (0, SystemTime::UNIX_EPOCH);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let (size, at) = if meta.is_dir() {
            content(&entry.path())?
        } else {
            (meta.len(), meta.modified()?)
        };
        bytes += size;
        written = written.max(at);
    }
    Ok((bytes, written))
}
