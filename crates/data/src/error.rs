use std::io;
use std::path::{Path, PathBuf};

/// Why an artifact file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The operating system refused.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not what its name says.
    #[error("{} is not a valid {format} file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format that was expected, such as `tokens`.
        format: &'static str,
        /// What is wrong, as a lowercase fragment.
        reason: String,
    },
}

impl FormatError {
    /// Wraps an I/O error with the path it happened at.
    pub fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Says what is wrong with the content of `path`.
    pub fn malformed(path: &Path, format: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            format,
            reason: reason.into(),
        }
    }
}
