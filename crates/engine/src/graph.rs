//! The graph: every node of the expanded pipeline, and what feeds what.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::cell::Cell;
use crate::policy::Policy;
use crate::stage::{OutputSpec, Stage};

/// A stage at a cell, fully resolved.
pub struct Node {
    /// Name of the stage.
    pub stage: String,
    /// One value per axis of the stage.
    pub cell: Cell,
    pub(crate) label: String,
    /// The work itself.
    pub work: Arc<dyn Stage>,
    /// Folder below `outputs/` that its outputs are copied to.
    pub export: Option<String>,
    /// How it may run.
    pub policy: Arc<Policy>,
    /// Where the stage stands in the pipeline file.
    pub span: Range<usize>,
}

impl Node {
    /// `score[model=nano-25k,step=64]`, or just `fit`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where each output is copied to, below `outputs/`; nowhere without an export.
    pub fn exports(&self) -> Vec<(String, OutputSpec)> {
        let Some(folder) = &self.export else {
            return Vec::new();
        };
        let path = |name: &str| match folder.as_str() {
            "." => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        let outputs = self.work.outputs().into_iter();
        outputs.map(|output| (path(&output.name), output)).collect()
    }
}

/// `stage[axis=value,…]` in the order of `over`.
pub(crate) fn label_of(stage: &str, over: &[(&str, Range<usize>)], cell: &Cell) -> String {
    if over.is_empty() {
        return stage.to_owned();
    }
    let pairs: Vec<String> = over
        .iter()
        .map(|(axis, _)| format!("{axis}={}", cell.get(axis).unwrap_or_default()))
        .collect();
    format!("{stage}[{}]", pairs.join(","))
}

/// An input of a node.
#[derive(Clone, Debug)]
pub struct Edge {
    /// What it is to the node that takes it.
    pub role: String,
    /// The one output that it carries; all of them if none is named.
    pub output: Option<String>,
}

/// All nodes; indices are in topological order, then in matrix order.
pub struct Graph {
    /// Edges go from what is needed to what needs it.
    pub dag: DiGraph<Node, Edge>,
}

impl Graph {
    /// The nodes and all they need, in graph order.
    pub fn ancestors(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        self.reachable(nodes, Direction::Incoming)
    }

    fn reachable(&self, nodes: &[NodeIndex], direction: Direction) -> Vec<NodeIndex> {
        let mut seen = vec![false; self.dag.node_count()];
        let mut stack = nodes.to_vec();
        while let Some(index) = stack.pop() {
            if !std::mem::replace(&mut seen[index.index()], true) {
                stack.extend(self.dag.neighbors_directed(index, direction));
            }
        }
        let all = self.dag.node_indices();
        all.filter(|index| seen[index.index()]).collect()
    }

    /// The nodes and all that need them, in graph order.
    pub fn descendants(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        self.reachable(nodes, Direction::Outgoing)
    }

    /// The nodes that need this one themselves, in graph order.
    pub fn dependants(&self, index: NodeIndex) -> Vec<NodeIndex> {
        let downs = self.dag.neighbors_directed(index, Direction::Outgoing);
        let unique: BTreeSet<NodeIndex> = downs.collect();
        unique.into_iter().collect()
    }

    /// The files outside the cache that reach a node through one other at most: role → path.
    pub fn origins(&self, index: NodeIndex) -> BTreeMap<&str, PathBuf> {
        let inputs = self.inputs(index).into_iter();
        inputs
            .flat_map(|(up, edge)| {
                let sources = self.dag[up].work.sources().into_iter();
                sources.map(|source| (edge.role.as_str(), source.path))
            })
            .collect()
    }

    /// What feeds a node, by role, then in graph order.
    pub fn inputs(&self, index: NodeIndex) -> Vec<(NodeIndex, &Edge)> {
        let edges = self.dag.edges_directed(index, Direction::Incoming);
        let mut inputs: Vec<(NodeIndex, &Edge)> =
            edges.map(|edge| (edge.source(), edge.weight())).collect();
        inputs.sort_by(|(a, x), (b, y)| (&x.role, a, &x.output).cmp(&(&y.role, b, &y.output)));
        inputs
    }
}
