//! What can go wrong in the engine, apart from the pipeline file and the stages themselves.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::tree::{Fault, shown};

/// A failure of the cache, the file system, or a request that can't be met.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", shown(path))]
    Io {
        /// What was being done, as a verb: `read`, `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An entry of a folder that can't be stored.
    #[error("{} {fault}", shown(path))]
    Entry {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The cache can't be written to, and something has to be.
    #[error("the cache in {} cannot be written, and {needed}", path.display())]
    ReadOnly {
        /// The cache.
        path: PathBuf,
        /// What has to be written.
        needed: String,
    },
    /// A blob is missing or its content is not what its name says.
    #[error("blob {digest} is missing or damaged")]
    Damaged {
        /// The blob.
        digest: Digest,
    },
    /// A record of the cache cannot be understood.
    #[error("{} is not a valid cache record: {reason}", path.display())]
    Record {
        /// The record's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An input that `--only` may not make is not in the cache.
    #[error("{node} needs {input}, which is not in the cache")]
    NotCached {
        /// The node that was asked for.
        node: String,
        /// The node whose outputs are missing.
        input: String,
    },
    /// A name that the user gave matches nothing.
    #[error("{0}")]
    NotFound(String),
}

impl EngineError {
    /// An I/O error with the path it happened at.
    pub fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source: without_path(source),
        }
    }

    /// An entry that can't be stored.
    pub fn entry(path: &Path, fault: Fault) -> Self {
        Self::Entry {
            path: path.to_owned(),
            fault,
        }
    }
}

/// What the operating system said, where `fs_err` has put the path before it: our own messages name
/// the path already.
pub(crate) fn without_path(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(std::error::Error::source);
    let code = inner
        .and_then(|e| e.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    code.map_or(error, io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_names_its_path_once() {
        let path = Path::new("/no/such/file");
        let error = EngineError::io("read", path, fs_err::read(path).unwrap_err());
        let expected = "cannot read /no/such/file: No such file or directory (os error 2)";
        assert_eq!(error.to_string(), expected);
        let plain = EngineError::io("read", path, std::fs::read(path).unwrap_err());
        assert_eq!(plain.to_string(), expected);
    }
}
