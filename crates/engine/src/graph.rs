//! The graph: every node of the expanded pipeline, and what feeds what.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::cell::Cell;
use crate::spec::nearest;
use crate::stage::Stage;

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
    /// Where the stage stands in the pipeline file.
    pub span: Range<usize>,
}

impl Node {
    /// `score[model=nano-25k,step=64]`, or just `fit`.
    pub fn label(&self) -> String {
        self.label.clone()
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
    /// The nodes that selectors name, in graph order: `stage`, `stage[axis=value,…]`, with `*`.
    ///
    /// # Errors
    /// A message with the nearest names when a selector matches nothing.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<NodeIndex>, String> {
        let mut selected = BTreeSet::new();
        for text in selectors {
            let selector = Selector::parse(text)?;
            let before = selected.len();
            let all = self.dag.node_indices();
            let found: Vec<NodeIndex> = all.filter(|i| selector.matches(&self.dag[*i])).collect();
            selected.extend(found.iter().copied());
            if found.is_empty() && selected.len() == before {
                return Err(self.nothing_matches(text, &selector));
            }
        }
        Ok(selected.into_iter().collect())
    }

    fn nothing_matches(&self, text: &str, selector: &Selector<'_>) -> String {
        let nodes = self.dag.node_weights();
        let stages: BTreeSet<&str> = nodes.map(|node| node.stage.as_str()).collect();
        let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
        let hint = |found: &str, names: &BTreeSet<&str>| {
            nearest(found, names.iter().copied())
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default()
        };
        let of_stage: Vec<&Node> = self
            .dag
            .node_weights()
            .filter(|n| matches(selector.stage, &n.stage))
            .collect();
        if of_stage.is_empty() {
            let hint = hint(selector.stage, &stages);
            return format!(
                "`{text}` matches nothing{hint} The stages are {}",
                list(&stages)
            );
        }
        for (axis, value) in &selector.cell {
            let values: BTreeSet<&str> = of_stage.iter().filter_map(|n| n.cell.get(axis)).collect();
            if values.is_empty() {
                let axes: BTreeSet<&str> = of_stage
                    .iter()
                    .flat_map(|n| n.cell.0.keys().map(String::as_str))
                    .collect();
                let hint = hint(axis, &axes);
                return format!(
                    "`{text}` matches nothing{hint} The axes of `{}` are {}",
                    selector.stage,
                    list(&axes)
                );
            }
            if !values.iter().any(|v| matches(value, v)) {
                let hint = hint(value, &values);
                return format!(
                    "`{text}` matches nothing{hint} The values of `{axis}` are {}",
                    list(&values)
                );
            }
        }
        format!("`{text}` matches nothing")
    }

    /// The nodes and all they need, in graph order.
    pub fn ancestors(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        let mut seen = vec![false; self.dag.node_count()];
        let mut stack = nodes.to_vec();
        while let Some(index) = stack.pop() {
            if !std::mem::replace(&mut seen[index.index()], true) {
                stack.extend(self.dag.neighbors_directed(index, Direction::Incoming));
            }
        }
        self.dag
            .node_indices()
            .filter(|index| seen[index.index()])
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

struct Selector<'s> {
    stage: &'s str,
    cell: Vec<(&'s str, &'s str)>,
}

impl<'s> Selector<'s> {
    fn parse(text: &'s str) -> Result<Self, String> {
        let expected =
            || format!("`{text}` is not a selector; expected `stage` or `stage[axis=value,…]`");
        let Some((stage, rest)) = text.split_once('[') else {
            return Ok(Self {
                stage: text,
                cell: Vec::new(),
            });
        };
        let inner = rest.strip_suffix(']').ok_or_else(expected)?;
        let cell = inner
            .split(',')
            .map(|pair| pair.split_once('=').ok_or_else(expected))
            .collect::<Result<_, _>>()?;
        Ok(Self { stage, cell })
    }

    fn matches(&self, node: &Node) -> bool {
        matches(self.stage, &node.stage)
            && self
                .cell
                .iter()
                .all(|(axis, value)| node.cell.get(axis).is_some_and(|v| matches(value, v)))
    }
}

/// Whether `text` fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    let starts = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
    starts.into_iter().any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("nano-*k", "nano-25k"));
        assert!(matches("*", ""));
        assert!(!matches("nano-*k", "nano-25"));
        assert!(matches("a*b*c", "axxbyyc"));
    }
}
