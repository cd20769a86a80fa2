//! What a report was made for, written into its head so that a run without work can see that there
//! is nothing to write.

use std::fmt;
use std::io::Read;
use std::path::Path;

use cpipe_engine::{Digest, regular};
use serde_json::json;

use crate::session::Session;

/// Goes up when the same run would now give another page.
const VERSION: u32 = 1;
/// The stamp stands within this many bytes of the beginning.
const HEAD: u64 = 2048;

/// Identifies what a report tells: the nodes with their keys, and what it was asked to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    table: Digest,
    asked: Digest,
}

impl Stamp {
    /// The stamp of the report on a run with this table of nodes and action keys.
    pub(super) fn of(session: &Session, table: Digest) -> Self {
        let pipeline = &session.pipeline;
        let report = pipeline.report.clone().unwrap_or_default();
        let asked = json!([
            VERSION,
            env!("CARGO_PKG_VERSION"),
            pipeline.name,
            session.profile(),
            report.title,
            report.text,
            report.tables,
            report.figures,
        ]);
        Self {
            table,
            asked: Digest::of(asked.to_string().as_bytes()),
        }
    }

    /// Whether the page at `path` has this stamp.
    pub(super) fn is_on(&self, path: &Path) -> bool {
        let mut head = Vec::new();
        let Ok(file) = regular::open(path) else {
            return false;
        };
        let read = file.take(HEAD).read_to_end(&mut head);
        read.is_ok() && String::from_utf8_lossy(&head).contains(&self.to_string())
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.asked)
    }
}
