//! What is up to date, and the run that made it.

use std::collections::BTreeMap;

use cpipe_engine::records::{self, Latest, NodeState, RunRecord, RunState};
use cpipe_engine::{Action, ActionKey, Digest, Manifest, plan};
use petgraph::graph::NodeIndex;

use crate::error::{CliError, Kind};
use crate::options::{PIPELINE_FILE, quoted, set_words};
use crate::session::Session;

/// A node that is up to date.
pub(super) struct MadeNode {
    pub(super) action: Action,
    pub(super) key: ActionKey,
    pub(super) manifest: Manifest,
    /// Whether the run executed it; else it was in the cache.
    pub(super) ran: bool,
}

/// All nodes that are up to date, with the run that the report tells about.
pub(super) struct Made {
    pub(super) nodes: BTreeMap<NodeIndex, MadeNode>,
    pub(super) run: RunRecord,
    /// The run's table of nodes and action keys.
    pub(super) table: Digest,
}

/// The nodes that export something; all nodes if none does.
fn shown(session: &Session) -> Vec<NodeIndex> {
    let dag = &session.pipeline.graph.dag;
    let exporting: Vec<NodeIndex> = dag
        .node_indices()
        .filter(|index| dag[*index].export.is_some())
        .collect();
    if exporting.is_empty() {
        return dag.node_indices().collect();
    }
    exporting
}

impl Made {
    /// Finds what is up to date and the run behind it, without running anything.
    pub(super) fn find(session: &Session) -> Result<Self, CliError> {
        let nodes = known(session)?;
        let shown = shown(session);
        refuse_missing(session, &shown, &nodes)?;
        let dag = &session.pipeline.graph.dag;
        let wanted = session.pipeline.graph.ancestors(&shown);
        let keys = wanted
            .iter()
            .filter_map(|index| Some((dag[*index].label(), nodes.get(index)?.key)))
            .collect();
        let Some((run, table)) = run_of(session, &keys)? else {
            return Err(no_run(session));
        };
        let mut made = Self { nodes, run, table };
        made.mark_executed(session);
        Ok(made)
    }

    fn mark_executed(&mut self, session: &Session) {
        let dag = &session.pipeline.graph.dag;
        let states: BTreeMap<String, NodeState> = records::nodes(&session.cache, &self.run)
            .into_iter()
            .map(|record| (record.node, record.state))
            .collect();
        for (index, node) in &mut self.nodes {
            node.ran = states.get(dag[*index].label()) == Some(&NodeState::Executed);
        }
    }
}

fn known(session: &Session) -> Result<BTreeMap<NodeIndex, MadeNode>, CliError> {
    let workspace = session.workspace();
    let all: Vec<NodeIndex> = workspace.graph.dag.node_indices().collect();
    let known = plan::known(&workspace, &all)?;
    let mut nodes = BTreeMap::new();
    for index in all {
        if let Some(manifest) = known[index.index()].clone() {
            let action = workspace.action(index, &known)?;
            let node = MadeNode {
                key: action.key(),
                action,
                manifest,
                ran: false,
            };
            nodes.insert(index, node);
        }
    }
    Ok(nodes)
}

/// A report shows all that is exported, so all of it has to be there.
fn refuse_missing(
    session: &Session,
    shown: &[NodeIndex],
    nodes: &BTreeMap<NodeIndex, MadeNode>,
) -> Result<(), CliError> {
    let dag = &session.pipeline.graph.dag;
    let mut missing = shown.iter().filter(|index| !nodes.contains_key(index));
    let waits = !session.pipeline.pending.is_empty();
    let Some(first) = missing.next() else {
        return if waits { Err(no_run(session)) } else { Ok(()) };
    };
    let others = missing.count();
    let label = dag[*first].label();
    let message = match others {
        0 => format!("{label} is not up to date, and the report shows it"),
        n => format!("{label} and {n} more nodes are not up to date, and the report shows them"),
    };
    Err(CliError::new(Kind::Usage, &message, Some(&hint(session))))
}

fn no_run(session: &Session) -> CliError {
    let profile = session.profile();
    let message = format!("no run of profile `{profile}` on record made what is up to date now");
    CliError::new(Kind::Usage, &message, Some(&hint(session)))
}

fn hint(session: &Session) -> String {
    let command = session.command("run");
    format!("`{command}` brings everything up to date; then there is something to report")
}

/// A command on this pipeline, as a person would type it.
pub(super) fn command(session: &Session, name: &str, sets: &[(String, String)]) -> String {
    let pipeline = &session.pipeline;
    let mut words = vec!["cpipe".to_owned(), name.to_owned()];
    let file = session
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    if file != PIPELINE_FILE {
        words.extend(["--file".to_owned(), quoted(&file)]);
    }
    if let Some(profile) = pipeline
        .profile
        .as_ref()
        .filter(|_| !pipeline.default_profile)
    {
        words.extend(["--profile".to_owned(), quoted(profile)]);
    }
    words.extend(set_words(sets));
    words.join(" ")
}

/// The latest run that ended with exactly these keys and executed something; if none did, the
/// latest that ended with them. With its table.
fn run_of(
    session: &Session,
    keys: &BTreeMap<&str, ActionKey>,
) -> Result<Option<(RunRecord, Digest)>, CliError> {
    let profile = session.profile();
    let mut checked = BTreeMap::new();
    let mut idle = None;
    for run in records::runs(&session.cache)?.into_iter().rev() {
        let Some(table) = run.table else { continue };
        if run.state != RunState::Done || run.info.profile != profile {
            continue;
        }
        let same = checked.entry(table).or_insert_with(|| {
            let found = Latest::of_run(&session.cache, &run);
            keys.iter()
                .all(|(label, key)| found.get(label) == Some(*key))
        });
        if *same && run.executed > 0 {
            return Ok(Some((run, table)));
        }
        if *same && idle.is_none() {
            idle = Some((run, table));
        }
    }
    Ok(idle)
}
