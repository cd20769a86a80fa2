use std::io;
use std::path::{Path, PathBuf};

use cpipe_data::FormatError;
use cpipe_engine::StageError;
use polars::error::PolarsError;

/// Why a table, a fit or a figure could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// The operating system refused.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An artifact is not what its name says.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The table engine refused.
    #[error("{}: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: PolarsError,
    },
    /// A CSV file is not what the stage needs.
    #[error("{0}")]
    Csv(String),
    /// The cells do not belong together, or are not what the stage needs.
    #[error("{0}")]
    Cells(String),
    /// A figure could not be drawn.
    #[error("cannot draw {figure}: {reason}")]
    Figure {
        /// Its name.
        figure: &'static str,
        /// Why not.
        reason: String,
    },
}

impl AnalysisError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn table(path: &Path, source: PolarsError) -> Self {
        Self::Table {
            path: path.to_owned(),
            source,
        }
    }
}

impl From<AnalysisError> for StageError {
    fn from(error: AnalysisError) -> Self {
        Self::failed(error.to_string())
    }
}
