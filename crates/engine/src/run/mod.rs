//! Bringing nodes up to date, in parallel, running only what has to run; and saying beforehand what
//! that would be. Both are the same state machine: [`plan`] just starts nothing.

mod capacity;
mod dispatcher;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::Instant;

use petgraph::graph::NodeIndex;
use serde::Serialize;

pub use sources::{SourceProblem, check_sources};

use crate::action::ActionKey;
use crate::digest::Digest;
use crate::error::EngineError;
use crate::event::{Event, EventSink};
use crate::explain::Reason;
use crate::plan::Workspace;
use crate::records::{Journal, RunInfo};
use dispatcher::{Dispatcher, Mode};

/// What a run is asked to do.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Cores that may be busy at the same time.
    pub jobs: usize,
    /// Run exactly the targets, from cached inputs.
    pub only: bool,
    /// Nodes whose record does not count.
    pub force: BTreeSet<NodeIndex>,
    /// Capacity of each pool: `mem` in bytes, `gpus`, and those that the file declares.
    pub pools: BTreeMap<String, u64>,
    /// Run programs under a tracer and report files that they read without declaring them.
    pub trace: bool,
    /// What the record of the run says besides what happened.
    pub info: RunInfo,
    /// The command that a hint names, with the options that this pipeline needs; `cpipe run` if empty.
    pub command: String,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Name of the run's record.
    pub run: String,
    /// Digest of its table of nodes and action keys.
    pub table: Option<Digest>,
    /// Nodes that ran.
    pub executed: usize,
    /// Nodes found in the cache.
    pub cached: usize,
    /// Nodes that failed.
    pub failed: usize,
    /// Nodes that were not run because one they need failed.
    pub skipped: usize,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// By what the unpinned sources of nodes that are up to date now entered their keys.
    pub seen: BTreeMap<PathBuf, String>,
}

/// What would happen to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is up to date.
    Cached(ActionKey),
    /// It would run.
    WouldRun(Reason),
    /// It depends on what a node that would run makes.
    Unknown(Reason),
    /// With `only`: the named input is not in the cache.
    Unavailable(String),
}

/// Brings `targets` and all they need up to date.
///
/// # Errors
/// When the cache or the file system fails; a node that fails is an event and counted.
pub fn run(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
    options: &RunOptions,
    cancel: &AtomicBool,
    sink: &dyn EventSink,
) -> Result<Summary, EngineError> {
    let _in_use = workspace.cache.lock_shared()?;
    refuse_read_only(workspace, targets, options)?;
    let started = Instant::now();
    let journal = Journal::begin(workspace.cache, &options.info, options.jobs)?;
    let (sender, receiver) = mpsc::channel();
    let (outcome, finished) = std::thread::scope(|scope| {
        let mode = Mode::Run {
            journal: &journal,
            cancel,
            sink,
        };
        let mut dispatcher = Dispatcher::new(workspace, targets, options, mode);
        let outcome = dispatcher.run(scope, &sender, &receiver);
        // What was made before an error counts all the same.
        (outcome, dispatcher.finish())
    });
    let mut summary = finished?;
    summary.seconds = started.elapsed().as_secs_f64();
    journal.end(&summary, outcome.is_ok())?;
    sink.event(&Event::RunFinished {
        complete: outcome.is_ok() && summary.failed == 0 && !summary.interrupted,
        executed: summary.executed,
        cached: summary.cached,
        failed: summary.failed,
        seconds: summary.seconds,
    });
    outcome.map(|()| summary)
}

/// A cache that can't be written to serves a run that finds everything in it.
fn refuse_read_only(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
    options: &RunOptions,
) -> Result<(), EngineError> {
    if !workspace.cache.is_read_only() {
        return Ok(());
    }
    let statuses = plan(workspace, targets, options)?;
    let is_known = |status: &Status| matches!(status, Status::Cached(_) | Status::Unavailable(_));
    let mut unknown = statuses.iter().filter(|(_, status)| !is_known(status));
    unknown.next().map_or(Ok(()), |(index, _)| {
        Err(EngineError::ReadOnly {
            path: workspace.cache.root().to_owned(),
            needed: format!("{} has to run", workspace.node(*index).label()),
        })
    })
}

/// What [`run`] would do, by node in the order of the graph; changes nothing.
///
/// # Errors
/// When the cache or the file system fails.
pub fn plan(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
    options: &RunOptions,
) -> Result<Vec<(NodeIndex, Status)>, EngineError> {
    let mut dispatcher = Dispatcher::new(workspace, targets, options, Mode::Plan);
    dispatcher.begin()?;
    Ok(dispatcher.statuses())
}
