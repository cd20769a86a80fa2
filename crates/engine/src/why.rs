//! Why a node ran or would run, down to the node where the change began.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;
use serde::Serialize;

use crate::action::Action;
use crate::error::EngineError;
use crate::explain::{Change, changes};
use crate::manifest::Manifest;
use crate::plan::{self, Resolution, Workspace};

/// Earlier actions of a node that are compared at most.
const COMPARED: usize = 50;

/// What is known of one node on the way to where the change began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Label.
    pub node: String,
    /// How far it is from the node that was asked about.
    pub depth: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// Differences from the nearest earlier action of this node.
    pub changes: Vec<Change>,
}

/// What became of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is up to date; the changes are what made it run last.
    Cached,
    /// It is up to date and there is no other action of it on record.
    First,
    /// It would run because of the changes.
    WouldRun,
    /// It would run: no action of it is on record.
    NeverRan,
    /// It would run: its result is no longer in the cache.
    Lost,
    /// That depends on the named node.
    Waits(String),
}

/// Explains a node and, where its inputs changed, the nodes that made them.
///
/// # Errors
/// When the cache can't be read.
pub fn why(workspace: &Workspace<'_>, index: NodeIndex) -> Result<Vec<Step>, EngineError> {
    let mut inquiry = Inquiry {
        workspace,
        known: plan::known(workspace, &[index])?,
        seen: BTreeSet::new(),
        steps: Vec::new(),
    };
    inquiry.explain(index, 0, None)?;
    Ok(inquiry.steps)
}

struct Inquiry<'w> {
    workspace: &'w Workspace<'w>,
    known: Vec<Option<Manifest>>,
    seen: BTreeSet<NodeIndex>,
    steps: Vec<Step>,
}

impl Inquiry<'_> {
    /// `made` is an output digest that the earlier action must have made.
    fn explain(
        &mut self,
        index: NodeIndex,
        depth: usize,
        made: Option<&str>,
    ) -> Result<(), EngineError> {
        if !self.seen.insert(index) {
            return Ok(());
        }
        if let Some(up) = plan::unmade_input(self.workspace, index, &self.known) {
            let waits = Verdict::Waits(self.workspace.node(up).label().to_owned());
            self.push(index, depth, waits, Vec::new());
            return self.explain(up, depth + 1, None);
        }
        let (now, hit) = match self.workspace.resolve(index, &self.known)? {
            Resolution::Hit(..) => (self.workspace.action(index, &self.known)?, true),
            Resolution::Miss(action, _) => (action, false),
        };
        let (nearest, found) = match self.nearest(index, &now, made) {
            Some((earlier, found)) => (Some(earlier), found),
            None => (None, Vec::new()),
        };
        let verdict = match (hit, &nearest) {
            (true, Some(_)) => Verdict::Cached,
            (true, None) => Verdict::First,
            (false, None) => Verdict::NeverRan,
            (false, Some(_)) if found.is_empty() => Verdict::Lost,
            (false, Some(_)) => Verdict::WouldRun,
        };
        let changed = self.changed_inputs(index, &found);
        self.push(index, depth, verdict, found);
        for (up, old) in changed {
            self.explain(up, depth + 1, old.as_deref())?;
        }
        Ok(())
    }

    fn push(&mut self, index: NodeIndex, depth: usize, verdict: Verdict, changes: Vec<Change>) {
        self.steps.push(Step {
            node: self.workspace.node(index).label().to_owned(),
            depth,
            verdict,
            changes,
        });
    }

    /// The earlier action of this node that differs least, and how.
    fn nearest(
        &self,
        index: NodeIndex,
        now: &Action,
        made: Option<&str>,
    ) -> Option<(Action, Vec<Change>)> {
        let (actions, own) = (&self.workspace.cache.actions, now.key());
        let keys = self
            .workspace
            .history
            .keys(self.workspace.node(index).label());
        let hit = actions.lookup(own).is_some();
        let is_maker = |key| {
            let Some(made) = made else { return true };
            let manifest = actions.lookup(key);
            manifest.is_some_and(|m| m.outputs.values().any(|a| a.digest.hex() == made))
        };
        let candidates = keys.into_iter().filter(|key| !hit || *key != own);
        candidates
            .filter(|key| is_maker(*key))
            .take(COMPARED)
            .filter_map(|key| actions.action(key))
            .map(|earlier| {
                let found = changes(&earlier, now);
                (earlier, found)
            })
            .min_by_key(|(_, found)| found.len())
    }

    /// Upstream nodes whose outputs are among the changes, with the earlier digest.
    fn changed_inputs(
        &self,
        index: NodeIndex,
        found: &[Change],
    ) -> Vec<(NodeIndex, Option<String>)> {
        let node = self.workspace.node(index);
        let mut ups = Vec::new();
        for (up, edge) in self.workspace.graph.inputs(index) {
            let prefix = format!("input {}/", self.workspace.input_name(node, &edge.role, up));
            let change = found.iter().find(|change| change.what.starts_with(&prefix));
            if let Some(change) = change
                && !ups.iter().any(|(known, _)| *known == up)
            {
                ups.push((up, change.old.clone()));
            }
        }
        ups
    }
}
