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
    /// Digest of the file, or of the folder's [listing](crate::tree).
    pub digest: Digest,
    /// Bytes of the file, or of all files of the folder.
    pub size: u64,
    /// Whether it is a file that its owner may execute. A folder's listing says it of each file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl Artifact {
    /// What enters the key of an action that reads it.
    pub fn identity(&self) -> String {
        identity(&self.digest.hex(), self.executable)
    }
}

/// What enters a key for a file: its digest, and that it is executable if it is.
pub(crate) fn identity(digest: &str, executable: bool) -> String {
    let mark = if executable { " executable" } else { "" };
    format!("{digest}{mark}")
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
