use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why something could not be fetched. URLs in it have no query.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server said no.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status code.
        status: u16,
    },
    /// The server could not be reached or broke off, and retrying did not help.
    #[error("{url}: {reason}")]
    Transport {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The server asks for more patience than we have.
    #[error("{url} answered {status} and asks to wait {} s", wait.as_secs())]
    Busy {
        /// What was asked for.
        url: String,
        /// The status code.
        status: u16,
        /// How long it asks to wait.
        wait: Duration,
    },
    /// The file is longer or shorter than it should be.
    #[error("{url} has {found} bytes, expected {expected}")]
    Length {
        /// What was asked for.
        url: String,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The file is larger than allowed.
    #[error("{url} is larger than the {limit} bytes that `size` allows")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The most bytes allowed.
        limit: u64,
    },
    /// The file is not the expected one.
    #[error("{url} is {found}, expected {expected}")]
    Digest {
        /// What was asked for.
        url: String,
        /// The digest that it should have.
        expected: String,
        /// The digest that it has.
        found: String,
    },
    /// The file is another one than when its first bytes were read.
    #[error("{url} changed while it was being read")]
    Changed {
        /// What was asked for.
        url: String,
    },
    /// The answer can't be understood.
    #[error("{url} answered something unexpected: {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No place worked.
    #[error("none of the {} places could be used: {}", .0.len(), join(.0))]
    NoMirror(Vec<Self>),
    /// A variable does not name a proxy.
    #[error("{variable} is not the address of an HTTP proxy")]
    Proxy {
        /// Its name.
        variable: String,
    },
    /// The run is being interrupted.
    #[error("interrupted")]
    Cancelled,
}

fn join(errors: &[HttpError]) -> String {
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    shown.join("; ")
}

impl HttpError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether another place may do better.
    pub(crate) fn is_of_the_place(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Proxy { .. } | Self::Cancelled)
    }

    /// What became of a file that none of its places gave.
    pub(crate) fn of_places(mut errors: Vec<Self>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::NoMirror(errors),
        }
    }
}
