//! Resolving nodes to actions: the one code path behind `run`, `plan` and `status`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;

use crate::action::{Action, ActionKey};
use crate::cache::{Cache, StatCache};
use crate::digest::Algorithm;
use crate::error::EngineError;
use crate::explain::Reason;
use crate::graph::{Graph, Node};
use crate::manifest::{Artifact, Manifest};
use crate::records::History;
use crate::seen::{Seen, is_gone};
use crate::stage::{Roles, SourceFile};

/// Stands for the digest of a source that nobody has looked at: no action is recorded with it.
const UNRESOLVED: &str = "not in cpipe.lock yet";
/// Stands for the digest of a local source that is gone and that nobody has seen.
const NEVER_SEEN: &str = "nothing";

/// A graph with the cache that it is resolved against.
pub struct Workspace<'a> {
    /// The expanded pipeline.
    pub graph: &'a Graph,
    /// Where results are kept.
    pub cache: &'a Cache,
    /// Digests of files outside the cache.
    pub stats: &'a StatCache,
    /// What sources without a declared digest were last seen to be.
    pub seen: &'a Seen,
    /// What earlier runs knew: what reasons are given against.
    pub history: &'a History,
    /// Folder that exported artifacts go to.
    pub outputs: PathBuf,
}

/// What the cache says of a node whose inputs are known.
#[derive(Debug)]
pub enum Resolution {
    /// Its result is on record.
    Hit(ActionKey, Manifest),
    /// It has to run.
    Miss(Action, Reason),
}

impl Workspace<'_> {
    /// The node at `index`.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.graph.dag[index]
    }

    /// Looks a node up; `known` holds the manifests of all its inputs.
    pub fn resolve(
        &self,
        index: NodeIndex,
        known: &[Option<Manifest>],
    ) -> Result<Resolution, EngineError> {
        let action = self.action(index, known)?;
        let key = action.key();
        if let Some(manifest) = self.cache.actions.lookup(key) {
            return Ok(Resolution::Hit(key, manifest));
        }
        let earlier = self
            .history
            .latest(self.node(index).label())
            .and_then(|key| self.cache.actions.action(key));
        let reason = Reason::between(earlier.as_ref(), &action);
        Ok(Resolution::Miss(action, reason))
    }

    /// The action of a node whose inputs are known.
    pub fn action(
        &self,
        index: NodeIndex,
        known: &[Option<Manifest>],
    ) -> Result<Action, EngineError> {
        self.action_by(index, known, !self.seen.is_blind())
    }

    /// The same for a node that is about to run: what it reads has to be there.
    pub(crate) fn action_to_run(
        &self,
        index: NodeIndex,
        known: &[Option<Manifest>],
    ) -> Result<Action, EngineError> {
        self.action_by(index, known, true)
    }

    fn action_by(
        &self,
        index: NodeIndex,
        known: &[Option<Manifest>],
        look: bool,
    ) -> Result<Action, EngineError> {
        let node = self.node(index);
        let mut inputs = BTreeMap::new();
        for (up, edge) in self.graph.inputs(index) {
            let prefix = self.input_name(node, &edge.role, up);
            for (name, artifact) in used_outputs(known[up.index()].as_ref(), edge.output.as_deref())
            {
                inputs.insert(format!("{prefix}/{name}"), artifact.identity());
            }
        }
        let mut names = BTreeMap::new();
        for source in node.work.sources() {
            let name = format!("source {}", source.name);
            inputs.insert(name, self.source_digest(&source, look)?);
            if let Some(file) = source.path.file_name().filter(|_| source.keeps_name) {
                let is_file = look.then(|| kind_of(&source.path)).flatten();
                let file = file.to_string_lossy().into_owned();
                names.insert(format!("source {} name", source.name), (file, is_file));
            }
        }
        for fetch in node.work.fetches() {
            let value = fetch
                .pin
                .map_or_else(|| UNRESOLVED.to_owned(), |pin| pin.to_string());
            inputs.insert(format!("source {}", fetch.name), value);
        }
        Ok(self.with_names(Action::new(&*node.work, inputs), names))
    }

    /// Adds the names of sources that are one file. Of one that is gone, or not looked at, nobody
    /// knows whether it was a file or a folder: it was what the cache has.
    fn with_names(
        &self,
        action: Action,
        names: BTreeMap<String, (String, Option<bool>)>,
    ) -> Action {
        if names.is_empty() {
            return action;
        }
        let mut named = action.clone();
        let is_known = names.values().all(|(_, is_file)| is_file.is_some());
        for (input, (file, is_file)) in names {
            if is_file != Some(false) {
                named.inputs.insert(input, file);
            }
        }
        if is_known || self.cache.actions.lookup(named.key()).is_some() {
            named
        } else {
            action
        }
    }

    /// `role`, or `role[cell]` where the stage is told the cell.
    pub(crate) fn input_name(&self, node: &Node, role: &str, up: NodeIndex) -> String {
        let roles = node.work.roles();
        let told = roles == Roles::Any || roles.find(role).is_some_and(|r| r.many);
        let cell = &self.node(up).cell;
        if told && !cell.0.is_empty() {
            format!("{role}[{cell}]")
        } else {
            role.to_owned()
        }
    }

    /// The declared pin, else what is there, else what was last there.
    fn source_digest(&self, source: &SourceFile, look: bool) -> Result<String, EngineError> {
        if let Some(pin) = &source.pin {
            return Ok(pin.to_string());
        }
        let text = if look && !is_gone(&source.path) {
            let pin = self.stats.digest(&source.path, Algorithm::Blake3)?;
            source.identity(&pin)
        } else {
            self.last_seen(&source.path)
                .unwrap_or_else(|| NEVER_SEEN.to_owned())
        };
        self.seen.note(&source.path, &text);
        Ok(text)
    }

    /// By what a source entered keys when it was last seen: as cpipe.lock says, which moves with the
    /// pipeline file, else as this cache has it by its path.
    pub fn last_seen(&self, path: &Path) -> Option<String> {
        let earlier = self.seen.earlier(path).cloned();
        earlier.or_else(|| Some(self.stats.last_known(path)?.to_string()))
    }
}

/// Whether a path is a file; none if nothing is there.
fn kind_of(path: &Path) -> Option<bool> {
    let meta = std::fs::metadata(path).ok()?;
    Some(!meta.is_dir())
}

/// The outputs of an upstream node that an edge carries.
pub(crate) fn used_outputs<'m>(
    manifest: Option<&'m Manifest>,
    only: Option<&str>,
) -> Vec<(&'m str, &'m Artifact)> {
    manifest
        .into_iter()
        .flat_map(|m| &m.outputs)
        .filter(|(name, _)| only.is_none_or(|o| o == name.as_str()))
        .map(|(name, artifact)| (name.as_str(), artifact))
        .collect()
}

/// The manifests of the targets and all that they need, as far as they are on record.
///
/// # Errors
/// When a source that is there cannot be read.
pub fn known(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
) -> Result<Vec<Option<Manifest>>, EngineError> {
    let mut first = None;
    let known = known_despite(workspace, targets, |error| {
        first.get_or_insert(error);
    });
    first.map_or(Ok(known), Err)
}

/// The same; a node whose source cannot be read is not on record, and `report` is told.
pub(crate) fn known_despite(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
    mut report: impl FnMut(EngineError),
) -> Vec<Option<Manifest>> {
    let mut known: Vec<Option<Manifest>> = vec![None; workspace.graph.dag.node_count()];
    for index in workspace.graph.ancestors(targets) {
        if unmade_input(workspace, index, &known).is_some() {
            continue;
        }
        match workspace.resolve(index, &known) {
            Ok(Resolution::Hit(_, manifest)) => known[index.index()] = Some(manifest),
            Ok(Resolution::Miss(..)) => {}
            Err(error) => report(error),
        }
    }
    known
}

/// The first input of a node whose manifest is not in `known`.
pub fn unmade_input(
    workspace: &Workspace<'_>,
    index: NodeIndex,
    known: &[Option<Manifest>],
) -> Option<NodeIndex> {
    let mut inputs = workspace.graph.inputs(index).into_iter().map(|(up, _)| up);
    inputs.find(|up| known[up.index()].is_none())
}
