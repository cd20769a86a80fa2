//! The stages of a run with their nodes, and the sources that they rest on.

use std::collections::{BTreeMap, BTreeSet};

use cpipe_engine::Manifest;
use cpipe_engine::graph::Node;
use cpipe_engine::spec::{Location, without_query};
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::made::{Made, MadeNode};
use crate::session::Session;

/// A stage with all its nodes.
pub(super) struct Stage {
    pub(super) name: String,
    /// What it does, as written under `run:`.
    pub(super) kind: String,
    pub(super) version: u32,
    /// Axes that it expands over.
    pub(super) axes: Vec<String>,
    /// Parameters that all its nodes share, as JSON.
    pub(super) params: BTreeMap<String, String>,
    pub(super) nodes: Vec<StageNode>,
}

/// A node of a stage.
pub(super) struct StageNode {
    pub(super) label: String,
    /// None if it is not up to date.
    pub(super) made: Option<MadeFacts>,
}

/// How a node was made.
pub(super) struct MadeFacts {
    pub(super) key: String,
    /// Whether the run executed it.
    pub(super) ran: bool,
    pub(super) seconds: f64,
    /// Threads, platform and what the stage said.
    pub(super) facts: BTreeMap<String, String>,
}

impl Stage {
    /// Nodes that the run executed, that it found in the cache, and that are not up to date.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let made = self.nodes.iter().filter_map(|node| node.made.as_ref());
        let ran = made.clone().filter(|made| made.ran).count();
        let cached = made.count() - ran;
        (ran, cached, self.nodes.len() - ran - cached)
    }

    /// What all its nodes took when they were made.
    pub(super) fn seconds(&self) -> f64 {
        let made = self.nodes.iter().filter_map(|node| node.made.as_ref());
        made.map(|made| made.seconds).sum()
    }
}

/// Every stage in the order of the graph, the place of each node's stage, and which feeds which.
#[expect(clippy::type_complexity, reason = "three views of one walk")]
pub(super) fn stages(
    session: &Session,
    made: &Made,
) -> (
    Vec<Stage>,
    BTreeMap<NodeIndex, usize>,
    BTreeSet<(usize, usize)>,
) {
    let dag = &session.pipeline.graph.dag;
    let mut stages: Vec<Stage> = Vec::new();
    let mut by_name = BTreeMap::new();
    let mut places = BTreeMap::new();
    for index in dag.node_indices() {
        let node = &dag[index];
        let place = *by_name.entry(&node.stage).or_insert_with(|| {
            stages.push(stage(node));
            stages.len() - 1
        });
        places.insert(index, place);
        stages[place].add(node, made.nodes.get(&index));
    }
    let edges = dag.edge_references();
    let edges = edges.map(|edge| (places[&edge.source()], places[&edge.target()]));
    (stages, places.clone(), edges.collect())
}

fn stage(node: &Node) -> Stage {
    let id = node.work.id();
    Stage {
        name: node.stage.clone(),
        kind: id.name,
        version: id.version,
        axes: axes(node.label()),
        params: params(node),
        nodes: Vec::new(),
    }
}

/// The axes in a label, in the order in which the stage names them.
fn axes(label: &str) -> Vec<String> {
    let cell = label.split_once('[').map_or("", |(_, cell)| cell);
    let pairs = cell.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(axis, _)| axis.to_owned()).collect()
}

fn params(node: &Node) -> BTreeMap<String, String> {
    let params = node.work.params();
    let entries = params.as_object().into_iter().flatten();
    entries
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect()
}

impl Stage {
    fn add(&mut self, node: &Node, made: Option<&MadeNode>) {
        if !self.nodes.is_empty() {
            let others = params(node);
            self.params
                .retain(|name, value| others.get(name) == Some(value));
        }
        self.nodes.push(StageNode {
            label: node.label().to_owned(),
            made: made.map(|made| MadeFacts {
                key: made.key.to_string(),
                ran: made.ran,
                seconds: made.manifest.execution.seconds,
                facts: facts(&made.manifest),
            }),
        });
    }
}

fn facts(manifest: &Manifest) -> BTreeMap<String, String> {
    let execution = &manifest.execution;
    let mut facts: BTreeMap<String, String> = execution
        .report
        .facts
        .iter()
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        })
        .collect();
    facts.insert("threads".to_owned(), execution.threads.to_string());
    facts.insert("platform".to_owned(), execution.platform.clone());
    facts.insert("cpipe".to_owned(), execution.version.clone());
    facts
}

/// Content from outside that some node reads.
pub(super) struct Source {
    /// Its name in the pipeline file, or its path.
    pub(super) name: String,
    /// Where it lies.
    pub(super) place: String,
    /// `blake3:…` or `sha256:…`, as it is in the action keys.
    pub(super) digest: String,
}

/// All sources, each once, by name.
pub(super) struct Sources {
    pub(super) list: Vec<Source>,
    /// The places of what each node reads itself.
    read: BTreeMap<NodeIndex, Vec<usize>>,
}

impl Sources {
    pub(super) fn of(session: &Session, made: &Made) -> Self {
        let mut found: BTreeMap<(String, String), Source> = BTreeMap::new();
        let mut names: BTreeMap<NodeIndex, Vec<(String, String)>> = BTreeMap::new();
        for (index, node) in &made.nodes {
            for source in read_by(session, *index, node) {
                let id = (source.name.clone(), source.digest.clone());
                names.entry(*index).or_default().push(id.clone());
                found.entry(id).or_insert(source);
            }
        }
        let ids: Vec<(String, String)> = found.keys().cloned().collect();
        let place = |id: &(String, String)| ids.binary_search(id).unwrap_or(0);
        let read = names
            .into_iter()
            .map(|(index, ids)| (index, ids.iter().map(place).collect()))
            .collect();
        Self {
            list: found.into_values().collect(),
            read,
        }
    }

    /// What any of these nodes reads.
    pub(super) fn below(&self, nodes: &[NodeIndex]) -> Vec<usize> {
        let read = nodes.iter().filter_map(|index| self.read.get(index));
        let places: BTreeSet<usize> = read.flatten().copied().collect();
        places.into_iter().collect()
    }
}

fn read_by(session: &Session, index: NodeIndex, made: &MadeNode) -> Vec<Source> {
    let work = &session.pipeline.graph.dag[index].work;
    let digest = |name: &str| {
        let inputs = &made.action.inputs;
        inputs
            .get(&format!("source {name}"))
            .cloned()
            .unwrap_or_default()
    };
    let declared = &session.pipeline.sources;
    let mut sources = Vec::new();
    for file in work.sources() {
        let root = &session.pipeline.root;
        let path = file.path.strip_prefix(root).unwrap_or(&file.path);
        let path = path.display().to_string();
        let entry = declared.iter().find(|(_, e)| e.path() == Some(&file.path));
        sources.push(Source {
            name: entry.map_or_else(|| path.clone(), |(name, _)| name.clone()),
            digest: digest(&file.name),
            place: path,
        });
    }
    for fetch in work.fetches() {
        let entry = declared.get(&fetch.source);
        sources.push(Source {
            place: entry.map_or_else(String::new, |entry| place(&entry.location)),
            digest: digest(&fetch.name),
            name: fetch.source,
        });
    }
    sources
}

/// Where a source lies, without what may be secret in an address.
fn place(location: &Location) -> String {
    match location {
        Location::Path(path) => path.display().to_string(),
        Location::Url(url) => {
            let first = url.urls.first().map_or("", String::as_str);
            without_query(first).to_owned()
        }
        Location::Hub(hub) => format!("hub: {} at {}", hub.repo, hub.revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_stand_as_the_stage_names_them() {
        assert_eq!(axes("score[model=a-1.4b,step=64]"), ["model", "step"]);
        assert_eq!(axes("fit"), Vec::<String>::new());
    }
}
