//! One dispatcher owns all state of a run.
//!
//! A node is *settled* once its inputs are known: either its action is on record and it is known
//! too, or it becomes ready. A node whose blobs turn out to be missing or damaged when someone
//! needs them is taken back and runs again.

mod ended;
mod settle;
mod start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::Scope;
use std::time::{Duration, Instant};

use petgraph::graph::NodeIndex;

use super::capacity::{Capacity, Share};
use super::{RunOptions, Status, Summary};
use crate::action::{Action, ActionKey};
use crate::error::EngineError;
use crate::event::{Event, EventSink};
use crate::execute::Outcome;
use crate::explain::Reason;
use crate::exports::Exports;
use crate::graph::Node;
use crate::manifest::Manifest;
use crate::plan::Workspace;
use crate::records::Journal;

/// How often a run that waits for a retry looks whether it was interrupted.
const LOOK: Duration = Duration::from_millis(100);

/// Whether nodes are run.
#[derive(Clone, Copy)]
pub(super) enum Mode<'s> {
    Plan,
    Run {
        journal: &'s Journal,
        cancel: &'s AtomicBool,
        sink: &'s dyn EventSink,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Some inputs are not known yet: how many.
    Waiting(usize),
    /// Has to run, and can.
    Ready,
    Running,
    /// Its outputs are known.
    Known,
    /// It failed or can't be made; so do its dependants.
    Lost,
}

/// A node that can run: its action, and why it has to.
struct Ready {
    action: Action,
    reason: Reason,
    passed_over: u32,
}

pub(super) struct Dispatcher<'s> {
    workspace: &'s Workspace<'s>,
    options: &'s RunOptions,
    mode: Mode<'s>,
    exports: Exports<'s>,
    targets: BTreeSet<NodeIndex>,
    wanted: Vec<NodeIndex>,
    state: Vec<State>,
    known: Vec<Option<Manifest>>,
    keys: BTreeMap<NodeIndex, ActionKey>,
    /// In graph order.
    ready: BTreeMap<NodeIndex, Ready>,
    /// Nodes that wait for their next attempt.
    delayed: Vec<(Instant, NodeIndex, Ready)>,
    /// Attempts that have failed.
    attempts: BTreeMap<NodeIndex, u32>,
    /// Who waits for a node.
    blocked: Vec<Vec<NodeIndex>>,
    /// Nodes whose record no longer counts: they run even if their action is on record.
    stale: BTreeSet<NodeIndex>,
    executed: BTreeSet<NodeIndex>,
    running: BTreeMap<NodeIndex, Share>,
    capacity: Capacity,
    /// With `only`: an input that a lost target lacks.
    missing: BTreeMap<NodeIndex, NodeIndex>,
    summary: Summary,
}

impl<'s> Dispatcher<'s> {
    pub(super) fn new(
        workspace: &'s Workspace<'s>,
        targets: &[NodeIndex],
        options: &'s RunOptions,
        mode: Mode<'s>,
    ) -> Self {
        let count = workspace.graph.dag.node_count();
        Self {
            exports: Exports::open(workspace.cache, workspace.stats, &workspace.outputs),
            targets: targets.iter().copied().collect(),
            wanted: workspace.graph.ancestors(targets),
            state: vec![State::Waiting(0); count],
            known: vec![None; count],
            keys: BTreeMap::new(),
            ready: BTreeMap::new(),
            delayed: Vec::new(),
            attempts: BTreeMap::new(),
            blocked: vec![Vec::new(); count],
            stale: options.force.clone(),
            executed: BTreeSet::new(),
            running: BTreeMap::new(),
            capacity: Capacity::new(options.jobs, options.pools.clone()),
            missing: BTreeMap::new(),
            summary: Summary::default(),
            workspace,
            options,
            mode,
        }
    }

    fn node(&self, index: NodeIndex) -> &'s Node {
        self.workspace.node(index)
    }

    fn tell(&self, event: &Event<'_>) {
        if let Mode::Run { sink, .. } = self.mode {
            sink.event(event);
        }
    }

    fn is_cancelled(&self) -> bool {
        matches!(self.mode, Mode::Run { cancel, .. } if cancel.load(Ordering::Relaxed))
    }

    pub(super) fn run<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<(NodeIndex, Outcome)>,
        receiver: &Receiver<(NodeIndex, Outcome)>,
    ) -> Result<(), EngineError>
    where
        's: 'scope,
    {
        self.tell(&Event::RunStarted {
            nodes: if self.options.only {
                self.targets.len()
            } else {
                self.wanted.len()
            },
            jobs: self.options.jobs,
        });
        self.begin()?;
        loop {
            self.wake();
            self.start_ready(scope, sender);
            let waits = !self.delayed.is_empty() && !self.is_cancelled();
            if self.running.is_empty() && !waits {
                return Ok(());
            }
            let wait = if waits {
                LOOK
            } else {
                Duration::from_secs(3600)
            };
            match receiver.recv_timeout(wait) {
                Ok((index, outcome)) => {
                    if let Some(share) = self.running.remove(&index) {
                        self.capacity.give_back(&share);
                    }
                    self.finished(index, outcome)?;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Makes nodes ready again whose wait for the next attempt is over.
    fn wake(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition(|(when, ..)| *when <= now);
        self.delayed = later;
        self.ready
            .extend(due.into_iter().map(|(_, index, ready)| (index, ready)));
    }

    /// Counts what each node waits for and settles those that wait for nothing.
    pub(super) fn begin(&mut self) -> Result<(), EngineError> {
        let mut free = VecDeque::new();
        for index in self.wanted.clone() {
            let inputs = self.workspace.graph.inputs(index).into_iter();
            let ups: BTreeSet<NodeIndex> = inputs.map(|(up, _)| up).collect();
            for up in &ups {
                self.blocked[up.index()].push(index);
            }
            self.state[index.index()] = State::Waiting(ups.len());
            if ups.is_empty() {
                free.push_back(index);
            }
        }
        for index in free {
            self.settle(index)?;
        }
        Ok(())
    }

    /// What would happen to each counted node, after [`Dispatcher::begin`] in plan mode.
    pub(super) fn statuses(&self) -> Vec<(NodeIndex, Status)> {
        let counted = self.wanted.iter().filter(|index| self.is_counted(**index));
        counted.map(|index| (*index, self.status(*index))).collect()
    }

    fn status(&self, index: NodeIndex) -> Status {
        if let (State::Known, Some(key)) = (&self.state[index.index()], self.keys.get(&index)) {
            return Status::Cached(*key);
        }
        if let Some(ready) = self.ready.get(&index) {
            return Status::WouldRun(ready.reason.clone());
        }
        if let Some(missing) = self.missing.get(&index) {
            return Status::Unavailable(self.node(*missing).label().to_owned());
        }
        let mut inputs = self.workspace.graph.inputs(index).into_iter();
        let unmade = inputs.find(|(up, _)| self.state[up.index()] != State::Known);
        let label = unmade.map(|(up, _)| self.node(up).label().to_owned());
        Status::Unknown(Reason::Waits(label.unwrap_or_default()))
    }

    /// By what the unpinned sources of counted nodes that are up to date entered their keys.
    fn seen(&self) -> BTreeMap<PathBuf, String> {
        let known = self
            .keys
            .keys()
            .filter(|index| self.state[index.index()] == State::Known && self.is_counted(**index));
        let sources = known.flat_map(|index| self.node(*index).work.sources());
        let unpinned = sources.filter(|source| source.pin.is_none());
        let seen = |path: PathBuf| Some((path.clone(), self.workspace.seen.used(&path)?));
        unpinned.filter_map(|source| seen(source.path)).collect()
    }

    /// The action of a node that is about to run.
    fn action_to_run(&self, index: NodeIndex) -> Result<Action, EngineError> {
        match self.mode {
            Mode::Plan => self.workspace.action(index, &self.known),
            Mode::Run { .. } => self.workspace.action_to_run(index, &self.known),
        }
    }

    pub(super) fn finish(mut self) -> Result<Summary, EngineError> {
        if let Mode::Run { journal, .. } = self.mode {
            let known = self
                .keys
                .iter()
                .filter(|(i, _)| self.state[i.index()] == State::Known);
            let found = known.map(|(index, key)| (self.node(*index).label(), *key));
            self.summary.table = Some(journal.table(found, self.workspace.graph)?);
            journal.id().clone_into(&mut self.summary.run);
        }
        self.summary.seen = self.seen();
        self.exports.save()?;
        self.workspace.stats.save()?;
        self.summary.executed = self.executed.len();
        self.summary.interrupted = self.is_cancelled();
        Ok(self.summary)
    }
}
