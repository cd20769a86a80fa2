//! One dispatcher owns all state of a run.
//!
//! A node is *settled* once its inputs are known: either its action is on record and it is known
//! too, or it becomes ready. A node whose blobs turn out to be missing or damaged when someone
//! needs them is taken back and runs again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
use crate::execute::{Executed, Job, Outcome, Stop, execute};
use crate::explain::Reason;
use crate::exports::Exports;
use crate::graph::Node;
use crate::manifest::Manifest;
use crate::plan::{Resolution, Workspace, used_outputs};
use crate::records::{Journal, NodeRecord, NodeState};

/// How often a node may be passed over by ones that fit before nothing else starts.
const PATIENCE: u32 = 16;
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
                    self.hit(index, key);
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

    fn hit(&mut self, index: NodeIndex, key: ActionKey) {
        self.keys.insert(index, key);
        if self.is_counted(index) {
            let node = self.node(index).label();
            self.tell(&Event::NodeCached { node, key });
        }
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
        let stale = self.exports.stale(self.node(index), manifest);
        let blobs = &self.workspace.cache.blobs;
        if !stale
            .iter()
            .all(|(_, artifact)| blobs.contains_artifact(artifact))
        {
            return Ok(false);
        }
        if matches!(self.mode, Mode::Plan) {
            return Ok(true);
        }
        match self.exports.write(&stale) {
            Ok(set_aside) => {
                for path in set_aside {
                    let message = format!("an edited output was kept as {}", path.display());
                    self.tell(&Event::Warning { message });
                }
                Ok(true)
            }
            Err(EngineError::Damaged { digest }) => {
                let message =
                    format!("blob {digest} in the cache was missing or damaged; it is made again");
                self.tell(&Event::Warning { message });
                Ok(false)
            }
            Err(error) => Err(error),
        }
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
        if let Some(message) = self.never_fits(index) {
            let hint = "lower its `resources`, or declare more under `pools`";
            self.fail(index, &message, Some(hint));
            return Ok(());
        }
        let gone = self.inputs_without_bytes(index);
        if gone.is_empty() {
            self.state[index.index()] = State::Ready;
            let ready = Ready {
                action,
                reason,
                passed_over: 0,
            };
            self.ready.insert(index, ready);
            return Ok(());
        }
        self.state[index.index()] = State::Waiting(gone.len());
        for up in gone {
            self.blocked[up.index()].push(index);
            self.take_back(up)?;
        }
        Ok(())
    }

    /// Says why a node could never start, if its stage asks for more than there is.
    fn never_fits(&self, index: NodeIndex) -> Option<String> {
        let there = |pool: &String| self.options.pools.get(pool).copied().unwrap_or(0);
        let mut pools = self.node(index).policy.pools.iter();
        let (pool, asked) = pools.find(|(pool, asked)| **asked > there(pool))?;
        let there = there(pool);
        Some(format!(
            "it needs {asked} of `{pool}`, and there are {there}"
        ))
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

    /// Starts ready nodes in graph order while they fit into what is free.
    fn start_ready<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<(NodeIndex, Outcome)>,
    ) where
        's: 'scope,
    {
        while self.capacity.cores() > 0 && !self.is_cancelled() {
            let Some((index, share)) = self.next_that_fits() else {
                return;
            };
            let Some(ready) = self.ready.remove(&index) else {
                return;
            };
            self.capacity.take(&share);
            let threads = share.cores;
            self.running.insert(index, share);
            self.state[index.index()] = State::Running;
            self.start(scope, sender.clone(), index, ready, threads);
        }
    }

    /// The first ready node that fits. One that was passed over too often goes first.
    fn next_that_fits(&mut self) -> Option<(NodeIndex, Share)> {
        let free = self.capacity.cores();
        let fair = free / self.ready.len().clamp(1, free.max(1));
        let mut found = None;
        for (index, ready) in &self.ready {
            let share = share_of(self.workspace.node(*index), fair, self.options.jobs);
            if self.capacity.has(&share) {
                found = Some((*index, share));
                break;
            }
            if ready.passed_over >= PATIENCE {
                return None;
            }
        }
        let (index, _) = &found.as_ref()?;
        for (_, ready) in self.ready.range_mut(..*index) {
            ready.passed_over += 1;
        }
        found
    }

    fn start<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: Sender<(NodeIndex, Outcome)>,
        index: NodeIndex,
        ready: Ready,
        threads: usize,
    ) where
        's: 'scope,
    {
        let Mode::Run { cancel, sink, .. } = self.mode else {
            return;
        };
        let key = ready.action.key();
        sink.event(&Event::NodeStarted {
            node: self.node(index).label(),
            key,
            reason: &ready.reason,
            threads,
        });
        self.keys.insert(index, key);
        let inputs = self.workspace.graph.inputs(index).into_iter();
        let job = Job {
            index,
            action: ready.action,
            key,
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
            trace: self.options.trace,
            cancel,
        };
        let workspace = self.workspace;
        scope.spawn(move || {
            let outcome = execute(workspace, &job, sink);
            // The receiver outlives every running node.
            let _ = sender.send((job.index, outcome));
        });
    }

    fn finished(&mut self, index: NodeIndex, outcome: Outcome) -> Result<(), EngineError> {
        match outcome {
            Outcome::Executed(executed) => {
                let Executed {
                    manifest, seconds, ..
                } = executed;
                self.tell(&Event::NodeFinished {
                    node: self.node(index).label(),
                    key: self.keys[&index],
                    seconds,
                    peak_memory: manifest.execution.peak_memory,
                    report: &manifest.execution.report,
                });
                self.note(index, NodeState::Executed, Some(&manifest), None);
                self.executed.insert(index);
                self.made(index, manifest)
            }
            Outcome::Shared(manifest) => {
                self.hit(index, self.keys[&index]);
                self.summary.cached += 1;
                self.made(index, manifest)
            }
            Outcome::Stopped(Stop::InputDamaged(up)) => {
                let message = format!(
                    "an output of {} in the cache was damaged; it is made again",
                    self.node(up).label()
                );
                self.tell(&Event::Warning { message });
                let action = self.workspace.action(index, &self.known)?;
                self.enqueue(index, action, Reason::Lost)
            }
            Outcome::Stopped(Stop::Failed(message, hint)) => {
                let hint = self.with_origins(index, hint);
                self.retry_or_fail(index, &message, hint.as_deref())
            }
            Outcome::Stopped(Stop::Cancelled) => {
                self.note(index, NodeState::Interrupted, None, None);
                self.state[index.index()] = State::Lost;
                Ok(())
            }
        }
    }

    fn retry_or_fail(
        &mut self,
        index: NodeIndex,
        message: &str,
        hint: Option<&str>,
    ) -> Result<(), EngineError> {
        let failed = self.attempts.entry(index).or_insert(0);
        *failed += 1;
        let attempt = *failed + 1;
        let policy = &self.node(index).policy;
        if attempt > policy.retries + 1 || self.is_cancelled() {
            self.fail(index, message, hint);
            return Ok(());
        }
        let wait = policy.wait_before(attempt);
        self.tell(&Event::NodeRetried {
            node: self.node(index).label(),
            attempt,
            wait_seconds: wait.as_secs_f64(),
            message,
        });
        self.state[index.index()] = State::Ready;
        let ready = Ready {
            action: self.workspace.action(index, &self.known)?,
            reason: Reason::Retried(attempt),
            passed_over: 0,
        };
        self.delayed.push((Instant::now() + wait, index, ready));
        Ok(())
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
        self.tell(&Event::NodeFailed {
            node: self.node(index).label(),
            message,
            hint,
        });
        self.note(index, NodeState::Failed, None, Some(message));
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
        let mut queue = VecDeque::from([index]);
        while let Some(lost) = queue.pop_front() {
            for down in std::mem::take(&mut self.blocked[lost.index()]) {
                if self.state[down.index()] == State::Lost {
                    continue;
                }
                self.state[down.index()] = State::Lost;
                queue.push_back(down);
                self.report_lost(lost, down, index);
            }
        }
    }

    fn report_lost(&mut self, lost: NodeIndex, down: NodeIndex, first: NodeIndex) {
        if !self.is_counted(down) {
            return;
        }
        let (node, because) = (self.node(down).label(), self.node(first).label());
        if self.is_counted(lost) {
            self.summary.skipped += 1;
            self.tell(&Event::NodeSkipped { node, because });
            return;
        }
        self.missing.insert(down, first);
        self.summary.failed += 1;
        let message = &format!("it needs {because}, which is not in the cache");
        let hint = format!("`cpipe run '{because}'` makes it");
        self.tell(&Event::NodeFailed {
            node,
            message,
            hint: Some(&hint),
        });
        self.note(down, NodeState::Failed, None, Some(message));
    }

    /// Writes down what became of a node.
    fn note(
        &self,
        index: NodeIndex,
        state: NodeState,
        manifest: Option<&Manifest>,
        message: Option<&str>,
    ) {
        let Mode::Run { journal, .. } = self.mode else {
            return;
        };
        let execution = manifest.map(|m| &m.execution);
        journal.node(&NodeRecord {
            node: self.node(index).label().to_owned(),
            key: self.keys.get(&index).copied(),
            state,
            attempts: self.attempts.get(&index).copied().unwrap_or(0)
                + u32::from(state == NodeState::Executed),
            seconds: execution.map(|e| e.seconds),
            peak_memory: execution.and_then(|e| e.peak_memory),
            report: execution.map(|e| e.report.clone()).unwrap_or_default(),
            message: message.map(str::to_owned),
        });
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

    pub(super) fn finish(mut self) -> Result<Summary, EngineError> {
        if let Mode::Run { journal, .. } = self.mode {
            let known = self
                .keys
                .iter()
                .filter(|(i, _)| self.state[i.index()] == State::Known);
            let found = known.map(|(index, key)| (self.node(*index).label(), *key));
            journal.table(found, self.workspace.graph)?;
            journal.id().clone_into(&mut self.summary.run);
        }
        self.exports.save()?;
        self.workspace.stats.save()?;
        self.summary.executed = self.executed.len();
        self.summary.interrupted = self.is_cancelled();
        Ok(self.summary)
    }
}

/// What a node takes: what is declared, else a fair share of what is free, within its stage's use.
fn share_of(node: &Node, fair: usize, jobs: usize) -> Share {
    let policy = &node.policy;
    let cores = match policy.cores {
        Some(cores) => cores.min(jobs.max(1)),
        None => fair.clamp(1, node.work.resources().max_threads.max(1)),
    };
    Share {
        cores,
        pools: policy.pools.clone(),
    }
}
