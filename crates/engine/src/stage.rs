//! The contract between the engine and a kind of work.
//!
//! A [`Stage`] is built once per node from its resolved parameters. The engine asks it for all that
//! can change its output bytes, decides whether it has to run, and if so gives it verified input
//! files and an empty output folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cell::Cell;
use crate::digest::{Digest, Pin};
use crate::error::{EngineError, without_path};
use crate::input_files::InputFiles;
use crate::log::Log;
use crate::manifest::identity;
use crate::places::Places;
use crate::tree::is_executable;

/// Name and version of a stage's behaviour.
///
/// The version goes up whenever equal inputs and parameters would now give other bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StageId {
    /// The kind, as written under `run:`.
    pub name: String,
    /// Version of the behaviour.
    pub version: u32,
}

/// Which inputs a stage takes under `needs:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// Exactly these roles, all of them required.
    Named(&'static [Role]),
    /// These, of which the optional ones may be left out; the stage then sees no node for them.
    WithOptional {
        /// Roles that must be fed.
        required: &'static [Role],
        /// Roles that may be fed.
        optional: &'static [Role],
    },
    /// Any roles; the stage finds them by name (`command`).
    Any,
}

impl Roles {
    /// The role called `name`, if the stage lists its roles and has it.
    pub fn find(&self, name: &str) -> Option<Role> {
        self.known().find(|role| role.name == name)
    }

    /// Every role that the stage lists.
    pub fn known(&self) -> impl Iterator<Item = Role> + use<> {
        let (required, optional): (&'static [Role], &'static [Role]) = match *self {
            Self::Named(required) => (required, &[]),
            Self::WithOptional { required, optional } => (required, optional),
            Self::Any => (&[], &[]),
        };
        required.iter().chain(optional).copied()
    }

    /// The roles that must be fed.
    pub fn required(&self) -> &'static [Role] {
        match *self {
            Self::Named(required) | Self::WithOptional { required, .. } => required,
            Self::Any => &[],
        }
    }
}

/// One input role of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The key under `needs:`.
    pub name: &'static str,
    /// Whether several nodes may feed it (fan-in).
    pub many: bool,
}

/// Whether an output is one file or a folder of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// One file.
    File,
    /// A folder with any number of files below it.
    Dir,
}

/// An output that a stage promises to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSpec {
    /// Name, which is also its path below the output folder.
    pub name: String,
    /// File or folder.
    pub kind: OutputKind,
}

impl OutputSpec {
    /// A declared output file.
    pub fn file(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: OutputKind::File,
        }
    }

    /// A declared output folder.
    pub fn dir(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: OutputKind::Dir,
        }
    }
}

/// A file or folder outside the cache that a stage reads.
///
/// With a pin, the pin is what enters the key, so that keys stay known while the file is gone.
/// Without one, the content found there enters the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Name of the input inside the stage.
    pub name: String,
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// The digest that it must have.
    pub pin: Option<Pin>,
    /// Whether the outputs depend on the name of a source that is one file. Then the name is in the
    /// key.
    pub keeps_name: bool,
}

impl SourceFile {
    /// What enters the key for content with the digest `found`: a file that is not pinned also
    /// says whether it is executable.
    pub(crate) fn identity(&self, found: &Pin) -> String {
        let executable = |meta: std::fs::Metadata| meta.is_file() && is_executable(&meta);
        let executable = self.pin.is_none() && self.path.metadata().is_ok_and(executable);
        identity(&found.to_string(), executable)
    }
}

/// Content that a stage fetches from elsewhere by itself, and checks by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Name of the input inside the stage.
    pub name: String,
    /// Name of the source in the pipeline file.
    pub source: String,
    /// The digest that it must have, which is all of it that enters the key. None while nobody has
    /// looked yet what the source is.
    pub pin: Option<Pin>,
}

/// What a running node occupies; never part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// The most threads that it can use; it is given at least one.
    pub max_threads: usize,
}

impl Resources {
    /// One core.
    pub fn one_core() -> Self {
        Self { max_threads: 1 }
    }

    /// As many cores as are free.
    pub fn any_cores() -> Self {
        Self {
            max_threads: usize::MAX,
        }
    }
}

/// A kind of work with its resolved parameters.
pub trait Stage: Send + Sync {
    /// Name and version of the behaviour.
    fn id(&self) -> StageId;

    /// Every parameter that can change the output bytes, defaults resolved, as plain JSON with
    /// finite numbers.
    fn params(&self) -> Value;

    /// The inputs it takes.
    fn roles(&self) -> Roles;

    /// The outputs it promises. One that is not there after [`Stage::run`] is an error.
    fn outputs(&self) -> Vec<OutputSpec>;

    /// Files outside the cache that it reads.
    fn sources(&self) -> Vec<SourceFile> {
        Vec::new()
    }

    /// Content that it fetches from elsewhere.
    fn fetches(&self) -> Vec<Fetch> {
        Vec::new()
    }

    /// Environment variables that it reads, with their values.
    fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What it occupies while it runs.
    fn resources(&self) -> Resources {
        Resources::one_core()
    }

    /// Reads `inputs` and writes every declared output below `outputs`.
    ///
    /// Must be deterministic: equal params and inputs give equal bytes, whatever the threads.
    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError>;
}

/// One verified artifact.
#[derive(Clone, Debug)]
pub struct InputArtifact {
    /// Digest of the file, or of the folder's listing.
    pub digest: Digest,
    /// What it consists of (read-only, in the cache).
    pub files: InputFiles,
}

/// All outputs of one upstream node.
#[derive(Clone, Debug)]
pub struct InputNode {
    /// The upstream node's cell.
    pub cell: Cell,
    /// Output name → artifact.
    pub outputs: BTreeMap<String, InputArtifact>,
}

impl InputNode {
    /// The only file of output `name`.
    pub fn file(&self, name: &str) -> Result<&Path, StageError> {
        let artifact = self
            .outputs
            .get(name)
            .ok_or_else(|| StageError::failed(format!("input has no output `{name}`")))?;
        let mut files = artifact.files.by_name().values();
        match (files.next(), files.next()) {
            (Some(path), None) => Ok(path),
            _ => Err(StageError::failed(format!(
                "input `{name}` is not one file"
            ))),
        }
    }

    /// The files of folder output `name`, by relative name.
    pub fn dir(&self, name: &str) -> Result<&BTreeMap<String, PathBuf>, StageError> {
        match self.outputs.get(name) {
            Some(artifact) => Ok(artifact.files.by_name()),
            None => Err(StageError::failed(format!("input has no output `{name}`"))),
        }
    }
}

/// The inputs of one action: role → the nodes that feed it, in matrix order; and its source files.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Inputs from other stages.
    pub roles: BTreeMap<String, Vec<InputNode>>,
    /// Files outside the cache by the name of their source.
    pub sources: BTreeMap<String, InputFiles>,
    /// Digests of those files, where they were hashed already. They hold only while the stage
    /// runs: the engine checks afterwards that no source has moved.
    pub hashed: BTreeMap<PathBuf, Digest>,
}

impl Inputs {
    /// The single node that feeds `role`.
    pub fn one(&self, role: &str) -> Result<&InputNode, StageError> {
        match self.many(role) {
            [node] => Ok(node),
            nodes => Err(StageError::failed(format!(
                "input `{role}` is fed by {} nodes, expected one",
                nodes.len()
            ))),
        }
    }

    /// Every node that feeds `role`.
    pub fn many(&self, role: &str) -> &[InputNode] {
        self.roles.get(role).map_or(&[], Vec::as_slice)
    }
}

/// The private folder that a node writes its outputs to.
#[derive(Clone, Debug)]
pub struct OutputDir {
    root: PathBuf,
}

impl OutputDir {
    /// An existing empty folder.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where output `name` goes. Parent folders of nested names exist.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// What a running stage may ask of the engine.
pub struct StageContext<'a> {
    /// Threads that it may use.
    pub threads: usize,
    /// Folder that survives a killed run and is removed once the action is recorded: finished
    /// batches can be kept here. A stage that wants it makes it.
    pub scratch: &'a Path,
    /// Told (done, total, unit) now and then.
    pub progress: &'a (dyn Fn(u64, u64, &'static str) + Sync),
    /// Told lines for the node's log.
    pub log: &'a (dyn Fn(&str) + Sync),
    /// Whether the run is being interrupted, or the node's time is over.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// What concerns only stages that start programs.
    pub programs: Programs<'a>,
}

/// What the engine gives to stages that start programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Programs<'a> {
    /// Action key of the node, as hexadecimal digits.
    pub key: &'a str,
    /// Where what they print goes.
    pub log: Option<&'a Log>,
    /// The lock of the action. A program that holds it open keeps every other run from starting
    /// the same action while it lives.
    pub lock: Option<&'a File>,
    /// Whether they run under a tracer.
    pub trace: bool,
}

impl<'a> StageContext<'a> {
    /// A context without a run around it: no progress, no log, never interrupted.
    pub fn alone(threads: usize, scratch: &'a Path) -> Self {
        Self {
            threads,
            scratch,
            progress: &|_, _, _| (),
            log: &|_| (),
            cancelled: &|| false,
            programs: Programs::default(),
        }
    }

    /// Returns [`StageError::Cancelled`] when the run is being interrupted.
    pub fn check_cancelled(&self) -> Result<(), StageError> {
        if (self.cancelled)() {
            Err(StageError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// What a stage says of its run besides its outputs: device, instruction set, throughput.
///
/// Goes into the manifest, never into a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Report {
    /// Name → value, such as `device` or `tokens`.
    pub facts: BTreeMap<String, Value>,
    /// Most memory that a program had at once, in bytes.
    #[serde(skip)]
    pub peak_memory: Option<u64>,
    /// Output, or `FOLDER/FILE`, → digest of files whose bytes were hashed on the way here. They
    /// are not hashed again when they enter the cache, but as always when they are read.
    #[serde(skip)]
    pub digests: BTreeMap<String, Digest>,
}

impl Report {
    /// A report of facts.
    pub fn new(facts: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self {
            facts: facts.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The report as it is written into a cache: without absolute paths.
    pub(crate) fn shared(&self, places: &Places) -> Self {
        let facts = self.facts.iter();
        Self {
            facts: facts
                .map(|(name, value)| (name.clone(), places.hide_in_json(value)))
                .collect(),
            ..self.clone()
        }
    }
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Bad input, a refused parameter, a failed program.
    #[error("{message}")]
    Failed {
        /// What went wrong, naming the file.
        message: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// The operating system refused.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The run was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl From<EngineError> for StageError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Io { path, source, .. } => Self::Io { path, source },
            other => Self::failed(other.to_string()),
        }
    }
}

impl StageError {
    /// A failure without a hint.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            hint: None,
        }
    }

    /// A failure and what to do about it.
    pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// An I/O error with the path it happened at.
    pub fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source: without_path(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Role = Role {
        name: "a",
        many: true,
    };
    const B: Role = Role {
        name: "b",
        many: false,
    };

    #[test]
    fn an_optional_role_is_known_and_not_required() {
        let roles = Roles::WithOptional {
            required: &[A],
            optional: &[B],
        };
        assert_eq!(roles.find("b"), Some(B));
        assert_eq!(roles.find("c"), None);
        assert_eq!(roles.required(), [A]);
        assert_eq!(roles.known().collect::<Vec<_>>(), [A, B]);
        assert_eq!(Roles::Named(&[B]).required(), [B]);
        assert_eq!(Roles::Any.known().count(), 0);
    }
}
