//! Stages over their axes: every node of the graph.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};

use super::error::SpecError;
use super::file::{File, StageSpec};
use super::matrix::Choice;
use super::params::Params;
use super::source::SourceEntry;
use super::vars::{Scope, cell_of};
use super::{Registry, exports, join, order};
use crate::graph::{Edge, Node, label_of};

/// More nodes than this are a mistake in `over`, not a study.
const MOST_NODES: usize = 1_000_000;

/// What [`expand`] makes.
pub(crate) struct Expanded {
    pub(crate) dag: DiGraph<Node, Edge>,
    /// Stages that have no nodes until an earlier stage has written an axis.
    pub(crate) waiting: Vec<String>,
}

/// Expands every stage; collects every error.
pub(crate) fn expand(
    root: &Path,
    file: &File<'_>,
    sources: &BTreeMap<String, SourceEntry>,
    registry: &dyn Registry,
    errors: &mut Vec<SpecError>,
) -> Expanded {
    check_pending(file, errors);
    let (order, cycle) = order::topological(&file.stages);
    errors.extend(cycle);
    let mut expansion = Expansion {
        root,
        file,
        sources,
        registry,
        dag: DiGraph::new(),
        nodes: BTreeMap::new(),
        waiting: Vec::new(),
        errors,
    };
    for place in order {
        expansion.stage(&file.stages[place]);
    }
    let Expansion { dag, waiting, .. } = expansion;
    errors.extend(exports::check(dag.node_weights()));
    Expanded { dag, waiting }
}

/// An axis can only be written by a stage that is there and does not wait for it.
fn check_pending(file: &File<'_>, errors: &mut Vec<SpecError>) {
    for pending in &file.matrix.pending {
        if !file.stage_names.contains(pending.stage.as_str()) {
            let (axis, stage) = (&pending.axis, &pending.stage);
            let message =
                format!("axis `{axis}` is written by stage `{stage}`, which is not there");
            let names = file.stage_names.iter().copied();
            errors.push(SpecError::general(message).choices(stage, names));
        }
    }
}

struct Expansion<'e, 't> {
    root: &'e Path,
    file: &'e File<'t>,
    sources: &'e BTreeMap<String, SourceEntry>,
    registry: &'e dyn Registry,
    dag: DiGraph<Node, Edge>,
    /// Stage → its nodes, of stages without mistakes.
    nodes: BTreeMap<&'t str, Vec<NodeIndex>>,
    waiting: Vec<String>,
    errors: &'e mut Vec<SpecError>,
}

impl<'t> Expansion<'_, 't> {
    fn stage(&mut self, spec: &StageSpec<'t>) {
        let before = self.errors.len();
        self.check_names(spec);
        let over: Vec<&str> = spec.over.iter().map(|(axis, _)| *axis).collect();
        if self.errors.len() > before || self.has_to_wait(spec, &over) {
            return;
        }
        if self.dag.node_count() + self.file.matrix.count(&over) > MOST_NODES {
            let message = format!(
                "stage `{}` brings the pipeline to more than {MOST_NODES} nodes",
                spec.name
            );
            let error = SpecError::at(spec.span.clone(), message);
            self.errors.push(error.help("name fewer axes in `over`"));
            return;
        }
        let indices = self.add_nodes(spec, &over);
        if self.errors.len() == before {
            self.join(spec, &indices);
        }
        self.nodes.insert(spec.name, indices);
    }

    /// Names that refer to nothing: kind, axes, stages.
    fn check_names(&mut self, spec: &StageSpec<'t>) {
        let kind = &spec.kind.text;
        if !self.registry.kinds().contains(&kind.as_str()) {
            let message = format!("unknown stage kind `{kind}`");
            let error = SpecError::at(spec.kind.span.clone(), message);
            let kinds = self.registry.kinds().iter().copied();
            self.errors.push(error.choices(kind, kinds));
        }
        for (axis, span) in &spec.over {
            if self.file.matrix.axis(axis).is_none() {
                let message = format!("there is no axis `{axis}` in the matrix");
                let error = SpecError::at(span.clone(), message);
                self.errors
                    .push(error.choices(axis, self.file.matrix.names()));
            }
        }
        for need in &spec.needs {
            if !self.file.stage_names.contains(need.stage.as_str()) {
                let message = format!("there is no stage `{}`", need.stage);
                let names = self.file.stage_names.iter().copied();
                let error = SpecError::at(need.span.clone(), message);
                self.errors.push(error.choices(&need.stage, names));
            }
        }
    }

    /// Whether the stage, or one that it needs, expands over an axis that is yet to be written.
    fn has_to_wait(&mut self, spec: &StageSpec<'t>, over: &[&str]) -> bool {
        let needs_waiting = spec
            .needs
            .iter()
            .any(|need| self.waiting.contains(&need.stage));
        let waits = needs_waiting || self.file.matrix.pending_in(over).is_some();
        if waits {
            self.waiting.push(spec.name.to_owned());
        }
        waits
    }

    fn add_nodes(&mut self, spec: &StageSpec<'t>, over: &[&str]) -> Vec<NodeIndex> {
        let before = self.errors.len();
        let file = self.file;
        let mut indices = Vec::new();
        for choice in file.matrix.cells(over) {
            match self.node(spec, choice) {
                Ok(node) => indices.push(self.dag.add_node(node)),
                // The same mistake in every cell is told once.
                Err(error) if self.errors[before..].contains(&error) => {}
                Err(error) => self.errors.push(error),
            }
        }
        indices
    }

    fn node(&self, spec: &StageSpec<'t>, axes: Choice<'_>) -> Result<Node, SpecError> {
        let cell = cell_of(&axes);
        let label = label_of(spec.name, &spec.over, &cell);
        let absent = self
            .file
            .matrix
            .names()
            .filter(|axis| cell.get(axis).is_none());
        let scope = Scope {
            vars: self.file.vars,
            absent: absent.collect(),
            axes,
        };
        let resolved = scope.substitute(spec.params)?;
        let params = Params {
            node: &resolved,
            root: self.root,
            sources: self.sources,
        };
        let work = self.registry.build(&spec.kind.text, params)?;
        let export = spec
            .export
            .as_ref()
            .map(|(text, span)| exports::safe_folder(&scope.interpolate(text, span)?, span))
            .transpose()?;
        Ok(Node {
            stage: spec.name.to_owned(),
            cell,
            label,
            work,
            export,
            policy: Arc::new(spec.policy.clone()),
            span: spec.span.clone(),
        })
    }

    /// Joins the nodes of a stage with those of the stages that it needs.
    fn join(&mut self, spec: &StageSpec<'t>, downs: &[NodeIndex]) {
        let Some(first) = downs.first() else { return };
        let work = Arc::clone(&self.dag[*first].work);
        let before = self.errors.len();
        self.errors.extend(join::check_roles(spec, work.as_ref()));
        if self.errors.len() > before {
            return;
        }
        for need in &spec.needs {
            // A stage with a mistake of its own has no nodes to join.
            let Some(ups) = self.nodes.get(need.stage.as_str()) else {
                continue;
            };
            if ups.is_empty() {
                continue;
            }
            if let Err(error) = join::join(&mut self.dag, spec, need, ups, downs) {
                self.errors.push(error);
            }
        }
    }
}
