use std::io::Write;
use std::path::Path;

use crate::error::EngineError;

/// How the names of files begin that are not yet renamed to what they are.
pub(super) const UNFINISHED: &str = ".new-";

/// Writes a file so that a reader sees all of it or none: temp file beside it, sync, rename.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|e| EngineError::io("write", path, e))
}
