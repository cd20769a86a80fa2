//! Resolving nodes to actions: the one code path behind `run`, `plan` and `status`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;
use serde::Serialize;

use crate::action::{Action, ActionKey};
use crate::cache::{Cache, StatCache, write_atomically};
use crate::digest::Algorithm;
use crate::error::EngineError;
use crate::explain::Reason;
use crate::graph::{Graph, Node};
use crate::manifest::{Artifact, Manifest};
use crate::stage::{Roles, SourceFile};

/// A graph with the cache that it is resolved against.
pub struct Workspace<'a> {
    /// The expanded pipeline.
    pub graph: &'a Graph,
    /// Where results are kept.
    pub cache: &'a Cache,
    /// Digests of files outside the cache.
    pub stats: &'a StatCache,
    /// The last action of each node.
    pub latest: &'a Latest,
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
            .latest
            .get(&self.node(index).label())
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
        let node = self.node(index);
        let mut inputs = BTreeMap::new();
        for (up, edge) in self.graph.inputs(index) {
            let prefix = self.input_name(node, &edge.role, up);
            for (name, artifact) in used_outputs(known[up.index()].as_ref(), edge.output.as_deref())
            {
                inputs.insert(format!("{prefix}/{name}"), artifact.digest.hex());
            }
        }
        for source in node.work.sources() {
            let name = format!("source {}", source.name);
            inputs.insert(name, self.source_digest(&source)?);
        }
        Ok(Action::new(&*node.work, inputs))
    }

    /// `role`, or `role[cell]` where the stage is told the cell.
    fn input_name(&self, node: &Node, role: &str, up: NodeIndex) -> String {
        let roles = node.work.roles();
        let told = roles == Roles::Any || roles.find(role).is_some_and(|r| r.many);
        let cell = &self.node(up).cell;
        if told && !cell.0.is_empty() {
            format!("{role}[{cell}]")
        } else {
            role.to_owned()
        }
    }

    /// The declared pin, else the digest of what is there, else of what was last there.
    fn source_digest(&self, source: &SourceFile) -> Result<String, EngineError> {
        if let Some(pin) = &source.pin {
            return Ok(pin.to_string());
        }
        self.stats
            .digest(&source.path, Algorithm::Blake3)
            .or_else(|e| self.stats.last_known(&source.path).ok_or(e))
            .map(|pin| pin.to_string())
    }
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

/// What would happen to a node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is up to date.
    Cached(ActionKey),
    /// It would run.
    WouldRun(Reason),
    /// It depends on what a node that would run makes.
    Unknown(Reason),
}

/// What a run would do to the nodes that `targets` need, in the order of the graph.
pub fn plan(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
    force: &BTreeSet<NodeIndex>,
) -> Result<Vec<(NodeIndex, Status)>, EngineError> {
    let mut known: Vec<Option<Manifest>> = vec![None; workspace.graph.dag.node_count()];
    let mut statuses = Vec::new();
    for index in workspace.graph.ancestors(targets) {
        let status = match unmade_input(workspace, index, &known) {
            Some(up) => Status::Unknown(Reason::Waits(workspace.node(up).label())),
            None if force.contains(&index) => Status::WouldRun(Reason::Forced),
            None => match workspace.resolve(index, &known)? {
                Resolution::Hit(key, manifest) => {
                    known[index.index()] = Some(manifest);
                    Status::Cached(key)
                }
                Resolution::Miss(_, reason) => Status::WouldRun(reason),
            },
        };
        statuses.push((index, status));
    }
    Ok(statuses)
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

/// The action that each node had when it was last up to date: what reasons are given against, and
/// what garbage collection keeps.
#[derive(Debug, Default)]
pub struct Latest {
    path: PathBuf,
    scope: String,
    keys: BTreeMap<String, ActionKey>,
}

impl Latest {
    /// Reads the record of a cache folder for one profile.
    pub fn open(cache: &Cache, profile: &str) -> Self {
        let path = cache.root().join("latest.json");
        let keys = read_keys(&path);
        Self {
            path,
            scope: format!("{profile}/"),
            keys,
        }
    }

    fn get(&self, label: &str) -> Option<ActionKey> {
        self.keys.get(&format!("{}{label}", self.scope)).copied()
    }

    /// Every key on record, of all profiles.
    pub fn all(cache: &Cache) -> BTreeSet<ActionKey> {
        read_keys(&cache.root().join("latest.json"))
            .into_values()
            .collect()
    }

    /// Writes back what a run found, if it differs.
    pub fn update<'l>(
        &self,
        found: impl Iterator<Item = (&'l str, ActionKey)>,
    ) -> Result<(), EngineError> {
        let mut keys = self.keys.clone();
        keys.extend(found.map(|(label, key)| (format!("{}{label}", self.scope), key)));
        if keys == self.keys {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&keys).expect("keys are plain data");
        write_atomically(&self.path, &text)
    }
}

fn read_keys(path: &Path) -> BTreeMap<String, ActionKey> {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
