//! Archives to files, safely: nothing is written outside the target, nothing in it points out of it,
//! and what is written stays in proportion to what was read.

mod guard;
mod speech;
mod stream;
mod tar;
mod zip;

use std::io::{BufRead, Read};
use std::path::Path;

use cpipe_engine::spec::{Take, Unpack};

use crate::named::is_pointer;
use guard::Guard;

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is damaged, or not what it is said to be.
    #[error("`{archive}` can't be unpacked: {reason}")]
    Damaged {
        /// Name of the archive.
        archive: String,
        /// What is wrong.
        reason: String,
    },
    /// An entry that would do harm.
    #[error("`{entry}` in `{archive}` {reason}")]
    Refused {
        /// Name of the archive.
        archive: String,
        /// Name of the entry.
        entry: String,
        /// What it would do.
        reason: &'static str,
    },
    /// It unpacks to far more than it is.
    #[error(
        "`{archive}` unpacks to more than {limit} bytes, {} times what was read of it",
        guard::RATIO
    )]
    Bomb {
        /// Name of the archive.
        archive: String,
        /// The most bytes allowed.
        limit: u64,
    },
    /// It ended before what was to be taken of it was there.
    #[error("`{archive}` holds {found} bytes of speech, {wanted} were to be taken")]
    TooShort {
        /// Name of the archive.
        archive: String,
        /// Bytes found.
        found: u64,
        /// Bytes wanted.
        wanted: u64,
    },
    /// Git LFS has not fetched it.
    #[error("`{archive}` is a pointer of Git LFS, and not the archive itself")]
    Pointer {
        /// Name of the archive.
        archive: String,
    },
    /// The operating system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Puts the files of the archive at `path`, whose name is `name`, into the folder `target`.
pub(crate) fn unpack_file(
    kind: Unpack,
    name: &str,
    path: &Path,
    target: &Path,
) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Io {
        path: path.to_owned(),
        source,
    };
    let size = fs_err::metadata(path).map_err(failed)?.len();
    let mut guard = Guard::new(name, target);
    guard.has_read(size);
    let mut file = std::io::BufReader::new(fs_err::File::open(path).map_err(failed)?);
    let head = file.fill_buf().map_err(failed)?;
    if kind != Unpack::None && is_pointer(&head[..head.len().min(size as usize)]) {
        return Err(UnpackError::Pointer {
            archive: name.to_owned(),
        });
    }
    match kind {
        Unpack::None => guard.copy(name, file),
        Unpack::Zip => zip::unpack(file, &mut guard),
        Unpack::Gz | Unpack::Xz | Unpack::Zst => {
            let inner = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            guard.copy(inner, stream::decoder(kind, file, name)?)
        }
        Unpack::Tar | Unpack::TarGz | Unpack::TarXz | Unpack::TarZst => {
            tar::unpack(stream::decoder(kind, file, name)?, &mut guard)
        }
    }
}

/// Takes the beginning of the archive that `reader` gives, and reads no further.
pub(crate) fn take_beginning(
    kind: Unpack,
    take: Take,
    name: &str,
    reader: impl Read,
    target: &Path,
) -> Result<(), UnpackError> {
    let Take::Speech(bytes) = take;
    let guard = Guard::new(name, target);
    let counted = guard.count(reader);
    speech::take(stream::decoder(kind, counted, name)?, bytes, guard)
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
