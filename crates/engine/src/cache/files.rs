use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use crate::error::EngineError;

/// How the names of files begin that are not yet renamed to what they are.
pub(super) const UNFINISHED: &str = ".new-";

/// Writes a file so that a reader sees all of it or none: temp file beside it, sync, rename.
///
/// A file that is there keeps its mode and, as far as this user may give it away, its owner. Where
/// a link is there, the file that it leads to is written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let write = || {
        let path = if path.is_symlink() {
            fs::canonicalize(path)?
        } else {
            path.to_owned()
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        if let Ok(meta) = fs::metadata(&path) {
            keep_owner_and_mode(file.as_file(), &meta)?;
        }
        file.as_file().sync_data()?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|e| EngineError::io("write", path, e))
}

fn keep_owner_and_mode(file: &File, meta: &fs::Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
        // Only root may give a file away; others may still give it to a group of theirs.
        let _ = std::os::unix::fs::fchown(file, Some(meta.uid()), Some(meta.gid()))
            .or_else(|_| std::os::unix::fs::fchown(file, None, Some(meta.gid())));
    }
    if own.mode() != meta.mode() {
        file.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
    }
    Ok(())
}

/// The rights that this user takes from new files.
pub(super) fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        let mask = line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
        mask.unwrap_or(0o022)
    })
}

/// Opens a file to be locked, made empty. Only for reading: it may be a program's standard input, and
/// another user's lock file can only be read.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    match options.create(true).truncate(true).write(true).open(path) {
        Err(error) if !is_denied(&error) => Err(error),
        _ => File::open(path),
    }
}

/// Whether this user may not do it here.
pub(super) fn is_denied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Whether this user may write to a file or folder.
pub(super) fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}
