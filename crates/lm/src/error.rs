use std::io;
use std::path::{Path, PathBuf};

use cpipe_data::FormatError;
use cpipe_engine::StageError;

/// Why text could not be tokenized or scored.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// The operating system refused.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to read a file of an input.
    #[error("cannot read `{file}` of `{role}`: {source}")]
    Unreadable {
        /// Name inside the source's folder.
        file: String,
        /// Input role that it belongs to.
        role: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder lacks a file that is needed.
    #[error("no `{file}` among the files of `{role}`: found {found}")]
    MissingFile {
        /// The file that is missing.
        file: &'static str,
        /// Input role or folder that should hold it.
        role: String,
        /// The files that are there, for the message.
        found: String,
    },
    /// A JSON file (tokenizer, config, index) is not what its name says.
    #[error("`{file}` of `{role}` is not usable: {reason}")]
    BadFile {
        /// Name inside the source's folder.
        file: String,
        /// Input role that it belongs to.
        role: &'static str,
        /// What is wrong, as a lowercase fragment with the position where there is one.
        reason: String,
    },
    /// A weights file is damaged or not for this model.
    #[error("weights `{file}`: {reason}")]
    Weights {
        /// Name inside the model's folder.
        file: String,
        /// What is wrong, naming the tensor.
        reason: String,
    },
    /// A chunk does not survive its way through the tokenizer.
    #[error("chunk {chunk} cannot be tokenized: {reason}")]
    Chunk {
        /// Index of the chunk.
        chunk: usize,
        /// What is wrong.
        reason: String,
    },
    /// Tokens that the model or the protocol cannot take.
    #[error("{0}")]
    Tokens(String),
    /// A card is not there, or did not do what it was asked to.
    #[error("{0}")]
    Device(String),
    /// An artifact is damaged.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The run was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl LmError {
    /// Wraps an I/O error with the path it happened at.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Wraps an I/O error with the file's name in its source: where it lies in the cache tells a user nothing.
    pub(crate) fn unreadable(file: &str, role: &'static str, source: io::Error) -> Self {
        Self::Unreadable {
            file: file.to_owned(),
            role,
            source,
        }
    }

    /// An error about a file that came with a model's weights.
    pub(crate) fn bad_file(file: &str, reason: impl Into<String>) -> Self {
        Self::BadFile {
            file: file.to_owned(),
            role: "weights",
            reason: reason.into(),
        }
    }

    /// An error about a tokenizer's file.
    pub(crate) fn bad_tokenizer(file: &str, reason: impl Into<String>) -> Self {
        Self::BadFile {
            file: file.to_owned(),
            role: "tokenizer",
            reason: reason.into(),
        }
    }

    pub(crate) fn weights(file: &str, reason: impl Into<String>) -> Self {
        Self::Weights {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}

#[cfg(any(test, feature = "cuda"))]
impl From<crate::cuda::DeviceError> for LmError {
    fn from(error: crate::cuda::DeviceError) -> Self {
        Self::Device(error.to_string())
    }
}

impl From<LmError> for StageError {
    fn from(error: LmError) -> Self {
        match error {
            LmError::Cancelled => Self::Cancelled,
            LmError::Io { path, source } => Self::io(path, source),
            other => Self::failed(other.to_string()),
        }
    }
}
