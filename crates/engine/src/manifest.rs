//! The manifest: the artifacts of an action and how it was executed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::stage::{OutputKind, Report};

/// One declared output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// File or folder.
    pub kind: OutputKind,
    /// Digest of the file, or of the folder's [`Listing`].
    pub digest: Digest,
    /// Bytes of the file, or of all files of the folder.
    pub size: u64,
}

/// How an action was executed; says nothing about what it made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// Label of the node that first ran the action.
    pub node: String,
    /// Version of cpipe.
    pub version: String,
    /// Operating system and architecture.
    pub platform: String,
    /// When it finished, in seconds since 1970.
    pub finished: u64,
    /// How long it took.
    pub seconds: f64,
    /// Threads that it was given.
    pub threads: usize,
    /// Most memory at once, in bytes: of the program for a command, of the whole process for a
    /// stage that runs inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// What the stage said: device, instruction set, dtype.
    pub report: Report,
}

/// The result of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Output name → artifact.
    pub outputs: BTreeMap<String, Artifact>,
    /// How it was executed.
    pub execution: Execution,
}

/// The files of a folder artifact: relative path → digest.
///
/// Stored as a blob with a line `HEX  RELATIVE/PATH` per file, sorted by path: what `b3sum` prints,
/// so that a folder's digest can be checked without cpipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(pub BTreeMap<String, Digest>);

impl Listing {
    /// The listing's text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (path, digest) in &self.0 {
            text.extend([&digest.hex(), "  ", path, "\n"]);
        }
        text
    }

    /// Reads what [`Listing::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.lines()
            .map(|line| {
                let (hex, path) = line.split_once("  ").ok_or("a line without a path")?;
                Ok((path.to_owned(), hex.parse()?))
            })
            .collect::<Result<_, String>>()
            .map(Self)
    }
}
