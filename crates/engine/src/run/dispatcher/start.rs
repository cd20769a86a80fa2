//! Starting what is ready while it fits into what is free.

use std::sync::mpsc::Sender;
use std::thread::Scope;

use petgraph::graph::NodeIndex;

use super::{Dispatcher, Mode, Ready, State};
use crate::action::Action;
use crate::event::Event;
use crate::execute::{Job, Outcome, execute};
use crate::graph::Node;
use crate::run::capacity::Share;

/// How often a node may be passed over by ones that fit before nothing else starts.
const PATIENCE: u32 = 16;

impl<'s> Dispatcher<'s> {
    /// Starts ready nodes in graph order while they fit into what is free.
    pub(super) fn start_ready<'scope>(
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
    pub(super) fn next_that_fits(&mut self) -> Option<(NodeIndex, Share)> {
        let free = self.capacity.cores();
        let fair = free / self.ready.len().clamp(1, free.max(1));
        let mut found = None;
        for (index, ready) in &self.ready {
            if self.runs_already(&ready.action) {
                continue;
            }
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

    /// Whether another node of this run executes the same action: its result will do for both.
    fn runs_already(&self, action: &Action) -> bool {
        let mut running = self.running.keys().filter_map(|index| self.keys.get(index));
        let key = (!self.running.is_empty()).then(|| action.key());
        running.any(|running| Some(*running) == key)
    }

    pub(super) fn start<'scope>(
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
