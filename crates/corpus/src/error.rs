use std::io;
use std::path::{Path, PathBuf};

use cpipe_engine::StageError;

/// Why a source could not be turned into chunks.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The operating system refused.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file of the source is not what its name says.
    #[error("`{file}` is not a valid {format} file: {reason}")]
    Undecodable {
        /// Its name inside the source.
        file: String,
        /// What was expected, such as PNG.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The source has nothing that the decoder takes.
    #[error("the source has no {expected} among its {files} files")]
    NothingToDecode {
        /// What was looked for.
        expected: &'static str,
        /// Files in the source.
        files: usize,
    },
    /// The source has fewer whole chunks than were asked for.
    #[error("the source has {available} whole chunks from number {offset}, {count} were asked for")]
    TooFew {
        /// Whole chunks from the offset on.
        available: usize,
        /// First chunk that may be taken.
        offset: usize,
        /// Chunks that were asked for.
        count: usize,
    },
}

impl CorpusError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn undecodable(file: &str, format: &'static str, reason: impl ToString) -> Self {
        Self::Undecodable {
            file: file.to_owned(),
            format,
            reason: reason.to_string(),
        }
    }
}

impl From<CorpusError> for StageError {
    fn from(error: CorpusError) -> Self {
        let message = error.to_string();
        match error {
            CorpusError::Io { path, source } => Self::io(path, source),
            CorpusError::Undecodable { .. } => Self::hinted(
                message,
                "the file is damaged or of another kind: replace it",
            ),
            CorpusError::NothingToDecode { .. } => {
                Self::hinted(message, "check the source's path and the stage's `decode`")
            }
            CorpusError::TooFew { .. } => {
                Self::hinted(message, "lower `count`, or add data to the source")
            }
        }
    }
}
