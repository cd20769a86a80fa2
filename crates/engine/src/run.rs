//! The scheduler: brings nodes up to date, in parallel, running only what has to run.
//!
//! One dispatcher owns all state. A node is *settled* once its inputs are known: either its action
//! is on record and it is known too, or it becomes ready. A node whose blobs turn out to be missing
//! or damaged when someone needs them is taken back and runs again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Scope;
use std::time::Instant;

use petgraph::graph::NodeIndex;

use crate::action::{Action, ActionKey};
use crate::digest::Pin;
use crate::error::EngineError;
use crate::event::{Event, EventSink};
use crate::execute::{Job, Outcome, Stop, execute};
use crate::explain::Reason;
use crate::exports::Exports;
use crate::manifest::Manifest;
use crate::plan::{Resolution, Workspace, used_outputs};

/// What a run is asked to do.
#[derive(Debug)]
pub struct RunOptions {
    /// Cores that may be busy at the same time.
    pub jobs: usize,
    /// Run exactly the targets, from cached inputs.
    pub only: bool,
    /// Nodes whose record does not count.
    pub force: BTreeSet<NodeIndex>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
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
}

/// A source that is not what it is declared to be, found before any work starts.
#[derive(Clone, Debug)]
pub struct SourceProblem {
    /// Where it should lie.
    pub path: PathBuf,
    /// The declared digest.
    pub expected: Option<Pin>,
    /// The digest found; none if nothing is there.
    pub found: Option<Pin>,
}

/// Compares the sources that `targets` need with what they are declared to be.
///
/// A source that is gone is a problem only if its content is not in the cache.
pub fn check_sources(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
) -> Result<Vec<SourceProblem>, EngineError> {
    let mut problems = Vec::new();
    for index in workspace.graph.ancestors(targets) {
        for source in workspace.node(index).work.sources() {
            let found = match (&source.pin, source.path.exists()) {
                (Some(pin), true) => Some(workspace.stats.digest(&source.path, pin.algorithm)?),
                (None, true) => continue,
                (_, false) if is_recorded(workspace, index) => continue,
                (_, false) => None,
            };
            if found.is_none() || found != source.pin {
                problems.push(SourceProblem {
                    path: source.path,
                    expected: source.pin,
                    found,
                });
            }
        }
    }
    Ok(problems)
}

/// Whether a node without other inputs has a result.
fn is_recorded(workspace: &Workspace<'_>, index: NodeIndex) -> bool {
    let known = vec![None; workspace.graph.dag.node_count()];
    matches!(workspace.resolve(index, &known), Ok(Resolution::Hit(..)))
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

/// Brings `targets` and all they need up to date.
pub fn run(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
    options: &RunOptions,
    cancel: &AtomicBool,
    sink: &dyn EventSink,
) -> Result<Summary, EngineError> {
    let _in_use = workspace.cache.lock_shared()?;
    let started = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let (outcome, finished) = std::thread::scope(|scope| {
        let mut dispatcher = Dispatcher::new(workspace, targets, options, cancel, sink);
        let outcome = dispatcher.run(scope, &sender, &receiver);
        // What was made before an error counts all the same.
        (outcome, dispatcher.finish())
    });
    let mut summary = finished?;
    summary.seconds = started.elapsed().as_secs_f64();
    sink.event(&Event::RunFinished {
        executed: summary.executed,
        cached: summary.cached,
        failed: summary.failed,
        seconds: summary.seconds,
    });
    outcome.map(|()| summary)
}

struct Dispatcher<'s> {
    workspace: &'s Workspace<'s>,
    options: &'s RunOptions,
    cancel: &'s AtomicBool,
    sink: &'s dyn EventSink,
    exports: Exports<'s>,
    targets: BTreeSet<NodeIndex>,
    wanted: Vec<NodeIndex>,
    state: Vec<State>,
    known: Vec<Option<Manifest>>,
    keys: BTreeMap<NodeIndex, ActionKey>,
    /// Ready nodes in graph order, with their action and why they run.
    ready: BTreeMap<NodeIndex, (Action, Reason)>,
    /// Who waits for a node.
    blocked: Vec<Vec<NodeIndex>>,
    /// Nodes whose record no longer counts: they run even if their action is on record.
    stale: BTreeSet<NodeIndex>,
    executed: BTreeSet<NodeIndex>,
    running: BTreeMap<NodeIndex, usize>,
    free: usize,
    summary: Summary,
}

impl<'s> Dispatcher<'s> {
    fn new(
        workspace: &'s Workspace<'s>,
        targets: &[NodeIndex],
        options: &'s RunOptions,
        cancel: &'s AtomicBool,
        sink: &'s dyn EventSink,
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
            blocked: vec![Vec::new(); count],
            stale: options.force.clone(),
            executed: BTreeSet::new(),
            running: BTreeMap::new(),
            free: options.jobs.max(1),
            summary: Summary::default(),
            workspace,
            options,
            cancel,
            sink,
        }
    }

    fn run<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<(NodeIndex, Outcome)>,
        receiver: &Receiver<(NodeIndex, Outcome)>,
    ) -> Result<(), EngineError>
    where
        's: 'scope,
    {
        self.sink.event(&Event::RunStarted {
            nodes: if self.options.only {
                self.targets.len()
            } else {
                self.wanted.len()
            },
            jobs: self.options.jobs,
        });
        self.begin()?;
        loop {
            self.start_ready(scope, sender);
            if self.running.is_empty() {
                return Ok(());
            }
            let (index, outcome) = receiver
                .recv()
                .expect("a running node reports before it ends");
            self.free += self.running.remove(&index).unwrap_or(0);
            self.finished(index, outcome)?;
        }
    }

    /// Counts what each node waits for and settles those that wait for nothing.
    fn begin(&mut self) -> Result<(), EngineError> {
        let mut free = VecDeque::new();
        for index in self.wanted.clone() {
            let ups: BTreeSet<NodeIndex> = self
                .workspace
                .graph
                .inputs(index)
                .into_iter()
                .map(|(up, _)| up)
                .collect();
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

    /// Decides a node whose inputs are known: up to date, or to be run. Works off, without
    /// recursion, everything that becomes decidable by it.
    fn settle(&mut self, index: NodeIndex) -> Result<(), EngineError> {
        let mut queue = VecDeque::from([index]);
        while let Some(index) = queue.pop_front() {
            if let Some(manifest) = self.decide(index)? {
                self.summary.cached += usize::from(self.is_counted(index));
                queue.extend(self.release(index, manifest));
            }
        }
        Ok(())
    }

    /// Returns the manifest of a node that is up to date; queues it to run otherwise.
    fn decide(&mut self, index: NodeIndex) -> Result<Option<Manifest>, EngineError> {
        let (action, reason) = if self.stale.contains(&index) {
            let forced = self.options.force.contains(&index);
            let reason = if forced { Reason::Forced } else { Reason::Lost };
            (self.workspace.action(index, &self.known)?, reason)
        } else {
            match self.workspace.resolve(index, &self.known)? {
                Resolution::Hit(key, manifest) if self.export(index, &manifest)? => {
                    self.keys.insert(index, key);
                    if self.is_counted(index) {
                        let node = &self.workspace.node(index).label();
                        self.sink.event(&Event::NodeCached {
                            node,
                            key: key.to_string(),
                        });
                    }
                    return Ok(Some(manifest));
                }
                Resolution::Hit(..) => {
                    self.stale.insert(index);
                    (self.workspace.action(index, &self.known)?, Reason::Lost)
                }
                Resolution::Miss(action, reason) => (action, reason),
            }
        };
        self.enqueue(index, action, reason)?;
        Ok(None)
    }

    /// With `--only` the nodes above the targets are looked up but not counted.
    fn is_counted(&self, index: NodeIndex) -> bool {
        !self.options.only || self.targets.contains(&index)
    }

    /// Brings a node's copies in `outputs/` up to date. False if its bytes are not in the cache.
    fn export(&self, index: NodeIndex, manifest: &Manifest) -> Result<bool, EngineError> {
        if !self.is_counted(index) {
            return Ok(true);
        }
        let stale = self.exports.stale(self.workspace.node(index), manifest);
        let blobs = &self.workspace.cache.blobs;
        if !stale
            .iter()
            .all(|(_, artifact)| blobs.contains_artifact(artifact))
        {
            return Ok(false);
        }
        match self.exports.write(&stale) {
            Ok(set_aside) => {
                for path in set_aside {
                    let message = format!("an edited output was kept as {}", path.display());
                    self.sink.event(&Event::Warning { message });
                }
                Ok(true)
            }
            Err(EngineError::Damaged { digest }) => {
                self.warn_damaged(digest);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn warn_damaged(&self, digest: crate::Digest) {
        let message = format!("blob {digest} in the cache was missing or damaged; made again");
        self.sink.event(&Event::Warning { message });
    }

    /// Makes a node ready, or has it wait for inputs whose bytes are gone.
    fn enqueue(
        &mut self,
        index: NodeIndex,
        action: Action,
        reason: Reason,
    ) -> Result<(), EngineError> {
        if !self.is_counted(index) {
            self.state[index.index()] = State::Lost;
            self.lose_dependants(index);
            return Ok(());
        }
        let gone = self.inputs_without_bytes(index);
        if gone.is_empty() {
            self.state[index.index()] = State::Ready;
            self.ready.insert(index, (action, reason));
            return Ok(());
        }
        self.state[index.index()] = State::Waiting(gone.len());
        for up in gone {
            self.blocked[up.index()].push(index);
            self.take_back(up)?;
        }
        Ok(())
    }

    fn inputs_without_bytes(&self, index: NodeIndex) -> BTreeSet<NodeIndex> {
        let blobs = &self.workspace.cache.blobs;
        let inputs = self.workspace.graph.inputs(index).into_iter();
        inputs
            .filter(|(up, edge)| {
                let manifest = self.known[up.index()].as_ref();
                !used_outputs(manifest, edge.output.as_deref())
                    .iter()
                    .all(|(_, artifact)| blobs.contains_artifact(artifact))
            })
            .map(|(up, _)| up)
            .collect()
    }

    /// A node that was up to date has lost its bytes: it runs again.
    fn take_back(&mut self, index: NodeIndex) -> Result<(), EngineError> {
        if self.state[index.index()] != State::Known {
            return Ok(());
        }
        if self.is_counted(index) && !self.executed.remove(&index) {
            self.summary.cached = self.summary.cached.saturating_sub(1);
        }
        self.stale.insert(index);
        let action = self.workspace.action(index, &self.known)?;
        self.enqueue(index, action, Reason::Lost)
    }

    /// Records that a node is known; returns the nodes that can be settled now.
    fn release(&mut self, index: NodeIndex, manifest: Manifest) -> Vec<NodeIndex> {
        self.known[index.index()] = Some(manifest);
        self.state[index.index()] = State::Known;
        let blocked = std::mem::take(&mut self.blocked[index.index()]);
        blocked
            .into_iter()
            .filter(|down| match &mut self.state[down.index()] {
                State::Waiting(count) => {
                    *count = count.saturating_sub(1);
                    *count == 0
                }
                _ => false,
            })
            .collect()
    }

    fn start_ready<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<(NodeIndex, Outcome)>,
    ) where
        's: 'scope,
    {
        while self.free > 0 && !self.cancel.load(Ordering::Relaxed) {
            let share = self.free / self.ready.len().clamp(1, self.free);
            let Some((index, (action, reason))) = self.ready.pop_first() else {
                return;
            };
            let most = self.workspace.node(index).work.resources().max_threads;
            let threads = share.clamp(1, most.max(1));
            self.free -= threads;
            self.running.insert(index, threads);
            self.state[index.index()] = State::Running;
            self.start(scope, sender.clone(), index, action, &reason, threads);
        }
    }

    fn start<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: Sender<(NodeIndex, Outcome)>,
        index: NodeIndex,
        action: Action,
        reason: &Reason,
        threads: usize,
    ) where
        's: 'scope,
    {
        let node = &self.workspace.node(index).label();
        let key = action.key();
        self.sink.event(&Event::NodeStarted {
            node,
            key: key.to_string(),
            reason,
            threads,
        });
        self.keys.insert(index, key);
        let inputs = self.workspace.graph.inputs(index).into_iter();
        let job = Job {
            index,
            action,
            inputs: inputs
                .map(|(up, edge)| {
                    let manifest = self.known[up.index()]
                        .clone()
                        .expect("settled inputs are known");
                    (up, edge.role.clone(), edge.output.clone(), manifest)
                })
                .collect(),
            threads,
            anew: self.stale.contains(&index),
            cancel: self.cancel,
        };
        let (workspace, sink) = (self.workspace, self.sink);
        scope.spawn(move || {
            let outcome = execute(workspace, &job, sink);
            // The receiver outlives every running node.
            let _ = sender.send((job.index, outcome));
        });
    }

    fn finished(&mut self, index: NodeIndex, outcome: Outcome) -> Result<(), EngineError> {
        match outcome {
            Outcome::Executed(manifest, seconds) => {
                let node = &self.workspace.node(index).label();
                let key = self.keys[&index].to_string();
                self.sink.event(&Event::NodeFinished { node, key, seconds });
                self.executed.insert(index);
                self.made(index, manifest)
            }
            Outcome::Shared(manifest) => {
                let node = &self.workspace.node(index).label();
                let key = self.keys[&index].to_string();
                self.sink.event(&Event::NodeCached { node, key });
                self.summary.cached += 1;
                self.made(index, manifest)
            }
            Outcome::Stopped(Stop::InputDamaged(up)) => {
                let message = format!(
                    "an output of {} in the cache was damaged; it is made again",
                    self.workspace.node(up).label()
                );
                self.sink.event(&Event::Warning { message });
                let action = self.workspace.action(index, &self.known)?;
                self.enqueue(index, action, Reason::Lost)
            }
            Outcome::Stopped(Stop::Failed(message, hint)) => {
                let hint = self.with_origins(index, hint);
                self.fail(index, &message, hint.as_deref());
                Ok(())
            }
            Outcome::Stopped(Stop::Cancelled) => {
                self.state[index.index()] = State::Lost;
                Ok(())
            }
        }
    }

    fn made(&mut self, index: NodeIndex, manifest: Manifest) -> Result<(), EngineError> {
        self.stale.remove(&index);
        if !self.export(index, &manifest)? {
            let message = "its outputs were damaged right after they were written";
            self.fail(index, message, Some("check the disk"));
            return Ok(());
        }
        for down in self.release(index, manifest) {
            self.settle(down)?;
        }
        Ok(())
    }

    fn fail(&mut self, index: NodeIndex, message: &str, hint: Option<&str>) {
        let node = &self.workspace.node(index).label();
        self.sink.event(&Event::NodeFailed {
            node,
            message,
            hint,
        });
        self.state[index.index()] = State::Lost;
        self.summary.failed += 1;
        self.lose_dependants(index);
    }

    /// A hint that names the user's own files: a stage only knows their copies in the cache.
    fn with_origins(&self, index: NodeIndex, hint: Option<String>) -> Option<String> {
        let origins = self.workspace.graph.origins(index).into_iter();
        let told = origins.map(|(role, path)| format!("`{role}` comes from {}", path.display()));
        let lines: Vec<String> = hint.into_iter().chain(told).collect();
        (!lines.is_empty()).then(|| lines.join("\n  "))
    }

    /// Gives up on everything that needs a lost node.
    fn lose_dependants(&mut self, index: NodeIndex) {
        let because = self.workspace.node(index).label();
        let mut queue = VecDeque::from([index]);
        while let Some(lost) = queue.pop_front() {
            for down in std::mem::take(&mut self.blocked[lost.index()]) {
                if self.state[down.index()] == State::Lost {
                    continue;
                }
                self.state[down.index()] = State::Lost;
                queue.push_back(down);
                self.report_lost(index, down, &because);
            }
        }
    }

    fn report_lost(&mut self, lost: NodeIndex, down: NodeIndex, because: &str) {
        if !self.is_counted(down) {
            return;
        }
        let node = &self.workspace.node(down).label();
        if self.is_counted(lost) {
            self.summary.skipped += 1;
            self.sink.event(&Event::NodeSkipped { node, because });
            return;
        }
        self.summary.failed += 1;
        let message = &format!("it needs {because}, which is not in the cache");
        let hint = format!("`cpipe run '{because}'` makes it");
        self.sink.event(&Event::NodeFailed {
            node,
            message,
            hint: Some(&hint),
        });
    }

    fn finish(mut self) -> Result<Summary, EngineError> {
        let known = self
            .keys
            .iter()
            .filter(|(i, _)| self.state[i.index()] == State::Known);
        let labelled: Vec<(String, ActionKey)> = known
            .map(|(index, key)| (self.workspace.node(*index).label(), *key))
            .collect();
        let found = labelled.iter().map(|(label, key)| (label.as_str(), *key));
        self.workspace.latest.update(found)?;
        self.exports.save()?;
        self.workspace.stats.save()?;
        self.summary.executed = self.executed.len();
        self.summary.interrupted = self.cancel.load(Ordering::Relaxed);
        Ok(self.summary)
    }
}
