//! Stages over their axes: nodes, and the edges that join them on shared axes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path};
use std::sync::Arc;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::Registry;
use super::error::SpecError;
use super::file::{File, Need, StageSpec};
use super::params::Params;
use super::source::SourceEntry;
use super::tree::Node as Tree;
use super::vars::{Scope, cell_of};
use crate::cell::Cell;
use crate::graph::{Edge, Graph, Node, label_of};
use crate::stage::{OutputSpec, Roles, Stage};

/// Expands every stage; collects every error.
pub(crate) fn expand(
    root: &Path,
    file: &File<'_>,
    sources: &BTreeMap<String, SourceEntry>,
    registry: &dyn Registry,
) -> Result<Graph, Vec<SpecError>> {
    let mut errors = check_names(file, registry);
    let order = match topological(file) {
        Ok(order) => order,
        Err(error) => {
            errors.push(error);
            return Err(errors);
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut expansion = Expansion {
        root,
        file,
        sources,
        registry,
        dag: DiGraph::new(),
        nodes: BTreeMap::new(),
        errors,
    };
    for place in order {
        expansion.stage(&file.stages[place]);
    }
    expansion.check_exports();
    if expansion.errors.is_empty() {
        Ok(Graph { dag: expansion.dag })
    } else {
        Err(expansion.errors)
    }
}

/// Names that refer to nothing: kinds, axes, stages.
fn check_names(file: &File<'_>, registry: &dyn Registry) -> Vec<SpecError> {
    let mut errors = Vec::new();
    for stage in &file.stages {
        let kind = &stage.kind.text;
        if !registry.kinds().contains(&kind.as_str()) {
            let error = SpecError::at(
                stage.kind.span.clone(),
                format!("unknown stage kind `{kind}`"),
            );
            errors.push(error.choices(kind, registry.kinds().iter().copied()));
        }
        for (axis, span) in &stage.over {
            if !file.axes.iter().any(|a| a.name == *axis) {
                let error = SpecError::at(
                    span.clone(),
                    format!("there is no axis `{axis}` in the matrix"),
                );
                errors.push(error.choices(axis, file.axes.iter().map(|a| a.name)));
            }
        }
        for need in &stage.needs {
            if !file.stages.iter().any(|s| s.name == need.stage) {
                let message = format!("there is no stage `{}`", need.stage);
                let names = file.stages.iter().map(|s| s.name);
                errors.push(SpecError::at(need.span.clone(), message).choices(&need.stage, names));
            }
        }
    }
    errors
}

/// Stages in an order in which each comes after what it needs, ties by place in the file.
fn topological(file: &File<'_>) -> Result<Vec<usize>, SpecError> {
    let place = |name: &str| file.stages.iter().position(|s| s.name == name);
    let ups: Vec<BTreeSet<usize>> = file
        .stages
        .iter()
        .map(|s| {
            s.needs
                .iter()
                .filter_map(|need| place(&need.stage))
                .collect()
        })
        .collect();
    let mut order: Vec<usize> = Vec::new();
    let mut done = vec![false; ups.len()];
    while order.len() < ups.len() {
        let next = (0..ups.len()).find(|i| !done[*i] && ups[*i].iter().all(|up| done[*up]));
        let Some(next) = next else {
            return Err(cycle(file, &ups));
        };
        done[next] = true;
        order.push(next);
    }
    Ok(order)
}

fn cycle(file: &File<'_>, ups: &[BTreeSet<usize>]) -> SpecError {
    let mut graph = DiGraph::<(), ()>::new();
    let indices: Vec<NodeIndex> = ups.iter().map(|_| graph.add_node(())).collect();
    for (down, ups) in ups.iter().enumerate() {
        for up in ups {
            graph.add_edge(indices[*up], indices[down], ());
        }
    }
    let is_cycle = |group: &Vec<NodeIndex>| {
        group.len() > 1 || group.iter().any(|i| graph.contains_edge(*i, *i))
    };
    let mut group: Vec<usize> = tarjan_scc(&graph)
        .into_iter()
        .find(is_cycle)
        .unwrap_or_default()
        .into_iter()
        .map(NodeIndex::index)
        .collect();
    group.sort_unstable();
    let first = group.first().copied().unwrap_or(0);
    let mut path = vec![first];
    loop {
        let here = path[path.len() - 1];
        let up = ups[here]
            .iter()
            .copied()
            .find(|up| group.contains(up))
            .unwrap_or(first);
        if let Some(start) = path.iter().position(|p| *p == up) {
            path.drain(..start);
            path.push(up);
            break;
        }
        path.push(up);
    }
    let names: Vec<&str> = path.iter().map(|i| file.stages[*i].name).collect();
    let message = format!(
        "stages need each other in a circle: {}",
        names.join(" needs ")
    );
    SpecError::at(file.stages[path[0]].span.clone(), message).help("remove one of these `needs`")
}

struct Expansion<'e, 't> {
    root: &'e Path,
    file: &'e File<'t>,
    sources: &'e BTreeMap<String, SourceEntry>,
    registry: &'e dyn Registry,
    dag: DiGraph<Node, Edge>,
    /// Stage → its nodes.
    nodes: BTreeMap<&'t str, Vec<NodeIndex>>,
    errors: Vec<SpecError>,
}

impl<'t> Expansion<'_, 't> {
    fn stage(&mut self, spec: &StageSpec<'t>) {
        let before = self.errors.len();
        let mut indices = Vec::new();
        for axes in self.choices(spec) {
            match self.node(spec, axes) {
                Ok(node) => indices.push(self.dag.add_node(node)),
                // The same mistake in every cell is reported once.
                Err(error) if self.errors[before..].contains(&error) => {}
                Err(error) => self.errors.push(error),
            }
        }
        if let Some(first) = indices.first() {
            let work = Arc::clone(&self.dag[*first].work);
            self.errors.extend(check_roles(spec, work.as_ref()));
        }
        if self.errors.len() == before {
            self.join(spec, &indices);
        }
        self.nodes.insert(spec.name, indices);
    }

    /// Every choice of values for the axes that the stage names, the last axis fastest.
    fn choices(&self, spec: &StageSpec<'t>) -> Vec<Vec<(&'t str, &'t Tree)>> {
        let mut choices = vec![Vec::new()];
        for (name, _) in &spec.over {
            let axis = self.file.axes.iter().find(|a| a.name == *name);
            let values = axis.map(|a| a.values).unwrap_or_default();
            choices = choices
                .into_iter()
                .flat_map(|choice: Vec<(&'t str, &'t Tree)>| {
                    values.iter().map(move |value| {
                        let mut longer = choice.clone();
                        longer.push((name, value));
                        longer
                    })
                })
                .collect();
        }
        choices
    }

    fn node(
        &self,
        spec: &StageSpec<'t>,
        axes: Vec<(&'t str, &'t Tree)>,
    ) -> Result<Node, SpecError> {
        let cell = cell_of(&axes);
        let label = label_of(spec.name, &spec.over, &cell);
        let scope = Scope {
            vars: self.file.vars,
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
            .map(|(text, span)| safe_folder(&scope.interpolate(text, span)?, span))
            .transpose()?;
        Ok(Node {
            stage: spec.name.to_owned(),
            cell,
            label,
            work,
            export,
            span: spec.span.clone(),
        })
    }

    /// Joins the nodes of a stage with those of the stages that it needs.
    fn join(&mut self, spec: &StageSpec<'t>, downs: &[NodeIndex]) {
        for need in &spec.needs {
            let ups = self
                .nodes
                .get(need.stage.as_str())
                .cloned()
                .unwrap_or_default();
            if ups.is_empty() || downs.is_empty() {
                continue;
            }
            if let Err(error) = self.join_need(spec, need, &ups, downs) {
                self.errors.push(error);
            }
        }
    }

    fn join_need(
        &mut self,
        spec: &StageSpec<'t>,
        need: &Need,
        ups: &[NodeIndex],
        downs: &[NodeIndex],
    ) -> Result<(), SpecError> {
        self.check_output(need, ups[0])?;
        let shared: Vec<&str> = spec
            .over
            .iter()
            .map(|(axis, _)| *axis)
            .filter(|axis| self.dag[ups[0]].cell.get(axis).is_some())
            .collect();
        self.check_fan_in(spec, need, ups[0], downs[0], &shared)?;
        let mut groups: BTreeMap<Vec<String>, Vec<NodeIndex>> = BTreeMap::new();
        for up in ups {
            groups
                .entry(part(&self.dag[*up].cell, &shared))
                .or_default()
                .push(*up);
        }
        for down in downs {
            let group = groups.get(&part(&self.dag[*down].cell, &shared));
            for up in group.into_iter().flatten() {
                let edge = Edge {
                    role: need.role.clone(),
                    output: need.output.clone(),
                };
                self.dag.add_edge(*up, *down, edge);
            }
        }
        Ok(())
    }

    fn check_output(&self, need: &Need, up: NodeIndex) -> Result<(), SpecError> {
        let Some(output) = &need.output else {
            return Ok(());
        };
        let outputs: Vec<OutputSpec> = self.dag[up].work.outputs();
        if outputs.iter().any(|o| o.name == *output) {
            return Ok(());
        }
        let message = format!("stage `{}` has no output `{output}`", need.stage);
        let names = outputs.iter().map(|o| o.name.as_str());
        Err(SpecError::at(need.span.clone(), message).choices(output, names))
    }

    /// A role for one input can't be fed by a stage with an axis that this stage does not have.
    fn check_fan_in(
        &self,
        spec: &StageSpec<'_>,
        need: &Need,
        up: NodeIndex,
        down: NodeIndex,
        shared: &[&str],
    ) -> Result<(), SpecError> {
        let Roles::Named(roles) = self.dag[down].work.roles() else {
            return Ok(());
        };
        let many = roles.iter().any(|role| role.name == need.role && role.many);
        let extra = self.dag[up]
            .cell
            .0
            .keys()
            .find(|axis| !shared.contains(&axis.as_str()));
        match extra {
            Some(axis) if !many => {
                let message = format!(
                    "`{}` takes one input as `{}`, but `{}` has a node for every `{axis}`",
                    spec.name, need.role, need.stage
                );
                let help = format!("add `{axis}` to `over` of `{}`", spec.name);
                Err(SpecError::at(need.span.clone(), message).help(help))
            }
            _ => Ok(()),
        }
    }

    /// No two nodes may put an output at the same place.
    fn check_exports(&mut self) {
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for node in self.dag.node_weights() {
            let Some(folder) = &node.export else {
                continue;
            };
            for output in node.work.outputs() {
                let path = format!("{folder}/{}", output.name);
                if let Some(other) = taken.insert(path.clone(), node.label.clone()) {
                    let message = format!("{other} and {} both export outputs/{path}", node.label);
                    let help =
                        "export to a folder with the axis in its name, such as `${modality}`";
                    self.errors
                        .push(SpecError::at(node.span.clone(), message).help(help));
                    return;
                }
            }
        }
    }
}

fn part(cell: &Cell, axes: &[&str]) -> Vec<String> {
    axes.iter()
        .map(|axis| cell.get(axis).unwrap_or_default().to_owned())
        .collect()
}

fn check_roles(spec: &StageSpec<'_>, work: &dyn Stage) -> Vec<SpecError> {
    let Roles::Named(roles) = work.roles() else {
        return Vec::new();
    };
    let kind = &spec.kind.text;
    let mut errors = Vec::new();
    for need in &spec.needs {
        if !roles.iter().any(|role| role.name == need.role) {
            let message = format!("`{kind}` takes no input called `{}`", need.role);
            let error = SpecError::at(need.role_span.clone(), message);
            errors.push(error.choices(&need.role, roles.iter().map(|role| role.name)));
        }
    }
    for role in roles {
        if !spec.needs.iter().any(|need| need.role == role.name) {
            let message = format!("stage `{}` lacks its input `{}`", spec.name, role.name);
            let help = format!("add `needs: {{ {}: STAGE }}`", role.name);
            errors.push(SpecError::at(spec.span.clone(), message).help(help));
        }
    }
    errors
}

/// A folder below outputs/, without a way out of it.
fn safe_folder(text: &str, span: &Range<usize>) -> Result<String, SpecError> {
    let inside = Path::new(text)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside && !text.is_empty() {
        return Ok(text.to_owned());
    }
    let message = format!("`{text}` is not a folder below outputs/");
    Err(SpecError::at(span.clone(), message).help("`.` is outputs/ itself"))
}
