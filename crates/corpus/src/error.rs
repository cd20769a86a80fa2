use std::io;
use std::path::{Path, PathBuf};

use cpipe_engine::StageError;

use crate::http::HttpError;
use crate::unpack::UnpackError;

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
    /// A file may be whole, but its kind is not read.
    #[error("`{file}` can't be decoded: cpipe does not read {found} ({format} file)")]
    Unread {
        /// Its name inside the source.
        file: String,
        /// Its format, such as WAV.
        format: &'static str,
        /// What it holds.
        found: String,
        /// What to convert it to.
        instead: &'static str,
    },
    /// Decoding a file would take more memory than is allowed.
    #[error("`{file}` is too large a {format} file: {found}")]
    TooLarge {
        /// Its name inside the source.
        file: String,
        /// Its format, such as PNG.
        format: &'static str,
        /// What it comes to.
        found: String,
    },
    /// Git LFS has not fetched a file.
    #[error("`{file}` is a pointer of Git LFS, and not the file itself")]
    Pointer {
        /// Its name inside the source.
        file: String,
    },
    /// A table does not have a column.
    #[error("`{file}` has no column `{column}`; its columns are `{columns}`")]
    NoColumn {
        /// Its name inside the source.
        file: String,
        /// The column that was asked for.
        column: String,
        /// Those that are there.
        columns: String,
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
    /// What the source was decoded to is shorter than a chunk.
    #[error("there is no whole chunk from number {offset} on in {files}")]
    NoChunk {
        /// The files that were decoded.
        files: String,
        /// First chunk that may be taken.
        offset: usize,
    },
    /// It could not be fetched.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The hub does not have it, or not for everybody.
    #[error("{message}")]
    Hub {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A remote source is not what it is declared or locked to be.
    #[error("the source is {found}, expected {expected}")]
    OtherContent {
        /// Declared or locked digest.
        expected: String,
        /// What arrived.
        found: String,
    },
    /// Nobody has looked yet what a remote source is.
    #[error("the source is not in cpipe.lock")]
    Unresolved,
    /// The engine could not read a folder.
    #[error("{0}")]
    Engine(String),
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

impl CorpusError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Undecodable { .. } => "the file is damaged or of another kind: replace it",
            Self::Unread { instead, .. } => return Some(format!("convert it to {instead}")),
            Self::TooLarge { .. } => "split it into smaller files",
            Self::NoColumn { .. } => "correct the name in `decode.csv.columns`",
            Self::NoChunk { .. } => {
                "check that its files are not empty or smaller than a chunk or patch, and `offset`"
            }
            Self::Pointer { .. } | Self::Unpack(UnpackError::Pointer { .. }) => {
                "run `git lfs pull` in the repository that it came from"
            }
            Self::NothingToDecode { .. } => "check the source's path and the stage's `decode`",
            Self::TooFew { .. } => "lower `count`, or add data to the source",
            Self::Http(error) => return http_hint(error),
            Self::Unpack(UnpackError::Io { .. }) | Self::Io { .. } => DISK,
            Self::Unpack(UnpackError::TooShort { .. }) => "lower what `take` asks for",
            Self::Unpack(_) => {
                "the archive is damaged or hostile, or `unpack` is wrong; nothing was kept of it"
            }
            Self::Hub { hint, .. } => return Some(hint.clone()),
            Self::OtherContent { .. } => {
                "what lies there has changed; `cpipe update SOURCE` accepts it, nothing was recorded"
            }
            Self::Unresolved => "`cpipe run` or `cpipe update SOURCE` puts it there",
            Self::Engine(_) => return None,
        };
        Some(text.to_owned())
    }
}

const DISK: &str =
    "check that you may write there and that the disk is not full; the next run goes on from there";

fn http_hint(error: &HttpError) -> Option<String> {
    let text = match error {
        HttpError::Io { .. } => DISK,
        HttpError::Digest { .. } | HttpError::Length { .. } => {
            "the file there is another one, or damaged on its way; if it is meant, change the \
             declared digest or use `cpipe update SOURCE`"
        }
        HttpError::TooLarge { .. } => "raise `size` if the file is meant to be that large",
        HttpError::Status {
            status: 401 | 403, ..
        } => "the server does not let everybody in: fetch the file yourself and use it as a `path`",
        HttpError::Status {
            status: 404 | 410, ..
        } => "correct the URL, or add a mirror",
        HttpError::Proxy { .. } => {
            "give it as http://HOST:PORT, or unset it; SOCKS proxies are not supported"
        }
        HttpError::Cancelled => return None,
        _ => "try again later, or add a mirror; what has arrived is kept",
    };
    Some(text.to_owned())
}

impl From<CorpusError> for StageError {
    fn from(error: CorpusError) -> Self {
        let message = error.to_string();
        match (error.hint(), error) {
            (_, CorpusError::Io { path, source }) => Self::io(path, source),
            (_, CorpusError::Http(HttpError::Cancelled)) => Self::Cancelled,
            (Some(hint), _) => Self::hinted(message, hint),
            (None, _) => Self::failed(message),
        }
    }
}
