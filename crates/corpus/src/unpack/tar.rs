use std::io::Read;

use tar::{Archive, Entry, EntryType};

use super::UnpackError;
use super::guard::Guard;

/// Unpacks a whole tar archive and reads it to its end, so that what its compression says of its
/// content is checked.
pub(super) fn unpack(reader: impl Read, guard: &mut Guard) -> Result<(), UnpackError> {
    let mut archive = Archive::new(reader);
    let entries = archive.entries().map_err(|e| guard.damaged(&e))?;
    for entry in entries {
        let entry = entry.map_err(|e| guard.damaged(&e))?;
        if let Some(name) = file_name(&entry, guard)? {
            guard.copy(&name, entry)?;
        }
    }
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(|e| guard.damaged(&e))?;
    Ok(())
}

/// The name of an entry that is a file; none of a folder. Links and devices are refused.
pub(super) fn file_name<R: Read>(
    entry: &Entry<'_, R>,
    guard: &Guard,
) -> Result<Option<String>, UnpackError> {
    let path = entry.path_bytes();
    let shown = String::from_utf8_lossy(&path);
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let name = std::str::from_utf8(&path);
            name.map(|name| Some(name.to_owned()))
                .map_err(|_| guard.refuse(&shown, "has a name that is not UTF-8"))
        }
        EntryType::Directory | EntryType::XGlobalHeader => Ok(None),
        EntryType::Symlink | EntryType::Link => {
            Err(guard.refuse(&shown, "is a link, and links are not unpacked"))
        }
        _ => Err(guard.refuse(&shown, "is neither a file nor a folder")),
    }
}
