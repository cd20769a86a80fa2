//! Edges: nodes joined where they agree on every axis that both have.

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};

use super::error::SpecError;
use super::file::{Need, StageSpec};
use crate::cell::Cell;
use crate::graph::{Edge, Node};
use crate::stage::{Roles, Stage};

/// More edges than this are a mistake in `over`, not a study.
const MOST_EDGES: usize = 20_000_000;

/// Checks that the stage gets the inputs that its kind takes.
pub(crate) fn check_roles(spec: &StageSpec<'_>, work: &dyn Stage) -> Vec<SpecError> {
    let roles = work.roles();
    let kind = &spec.kind.text;
    let mut errors = Vec::new();
    for need in &spec.needs {
        if roles != Roles::Any && roles.find(&need.role).is_none() {
            let message = format!("`{kind}` takes no input called `{}`", need.role);
            let error = SpecError::at(need.role_span.clone(), message);
            errors.push(error.choices(&need.role, roles.known().map(|role| role.name)));
        }
    }
    for role in roles.required() {
        if !spec.needs.iter().any(|need| need.role == role.name) {
            let message = format!("stage `{}` lacks its input `{}`", spec.name, role.name);
            let help = format!("add `needs: {{ {}: STAGE }}`", role.name);
            errors.push(SpecError::at(spec.span.clone(), message).help(help));
        }
    }
    errors
}

/// Adds the edges of one need; `ups` and `downs` are not empty.
///
/// Linear in the nodes and edges: upstream nodes are grouped by their values on the shared axes.
pub(crate) fn join(
    dag: &mut DiGraph<Node, Edge>,
    spec: &StageSpec<'_>,
    need: &Need,
    ups: &[NodeIndex],
    downs: &[NodeIndex],
) -> Result<(), SpecError> {
    check_output(dag, need, ups)?;
    let shared: Vec<&str> = spec
        .over
        .iter()
        .map(|(axis, _)| *axis)
        .filter(|axis| dag[ups[0]].cell.get(axis).is_some())
        .collect();
    check_fan_in(spec, need, &dag[ups[0]], dag[downs[0]].work.as_ref())?;
    let edges = find_edges(dag, &shared, ups, downs).ok_or_else(|| {
        let message = format!("`{}` has more than {MOST_EDGES} inputs", spec.name);
        SpecError::at(need.span.clone(), message).help("name a shared axis in `over`")
    })?;
    for (up, down) in edges {
        let edge = Edge {
            role: need.role.clone(),
            output: need.output.clone(),
        };
        dag.add_edge(up, down, edge);
    }
    Ok(())
}

/// Pairs that agree on the shared axes; none if there are too many.
fn find_edges(
    dag: &DiGraph<Node, Edge>,
    shared: &[&str],
    ups: &[NodeIndex],
    downs: &[NodeIndex],
) -> Option<Vec<(NodeIndex, NodeIndex)>> {
    let mut groups: BTreeMap<Vec<&str>, Vec<NodeIndex>> = BTreeMap::new();
    for up in ups {
        let group = groups.entry(part(&dag[*up].cell, shared)).or_default();
        group.push(*up);
    }
    let mut edges = Vec::new();
    for down in downs {
        if let Some(group) = groups.get(&part(&dag[*down].cell, shared)) {
            if edges.len() + group.len() > MOST_EDGES {
                return None;
            }
            edges.extend(group.iter().map(|up| (*up, *down)));
        }
    }
    Some(edges)
}

fn part<'c>(cell: &'c Cell, axes: &[&str]) -> Vec<&'c str> {
    let values = axes.iter().map(|axis| cell.get(axis));
    values.map(Option::unwrap_or_default).collect()
}

/// The output that is asked for must be one that every upstream node writes.
fn check_output(
    dag: &DiGraph<Node, Edge>,
    need: &Need,
    ups: &[NodeIndex],
) -> Result<(), SpecError> {
    let Some(wanted) = &need.output else {
        return Ok(());
    };
    for up in ups {
        let outputs = dag[*up].work.outputs();
        if !outputs.iter().any(|output| output.name == *wanted) {
            let message = format!("stage `{}` has no output `{wanted}`", need.stage);
            let names = outputs.iter().map(|output| output.name.as_str());
            return Err(SpecError::at(need.span.clone(), message).choices(wanted, names));
        }
    }
    Ok(())
}

/// A role for one input can't be fed by a stage with an axis that this stage does not have.
///
/// That holds even if the axis has one value, so that a longer axis does not break the pipeline.
fn check_fan_in(
    spec: &StageSpec<'_>,
    need: &Need,
    up: &Node,
    work: &dyn Stage,
) -> Result<(), SpecError> {
    let roles = work.roles();
    if roles == Roles::Any || roles.find(&need.role).is_some_and(|role| role.many) {
        return Ok(());
    }
    let is_shared = |axis: &str| spec.over.iter().any(|(own, _)| *own == axis);
    let Some(axis) = up.cell.0.keys().find(|axis| !is_shared(axis)) else {
        return Ok(());
    };
    let message = format!(
        "`{}` takes one input as `{}`, but `{}` has a node for every `{axis}`",
        spec.name, need.role, need.stage
    );
    let help = format!("add `{axis}` to `over` of `{}`", spec.name);
    Err(SpecError::at(need.span.clone(), message).help(help))
}
