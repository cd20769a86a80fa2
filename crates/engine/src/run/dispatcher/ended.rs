//! What becomes of a node that has ended, and of those that need it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Instant;

use petgraph::graph::NodeIndex;

use super::{Dispatcher, Mode, Ready, State};
use crate::error::EngineError;
use crate::event::Event;
use crate::execute::{Executed, Outcome};
use crate::explain::Reason;
use crate::manifest::Manifest;
use crate::records::{NodeRecord, NodeState};
use crate::stop::Stop;

impl Dispatcher<'_> {
    pub(super) fn finished(
        &mut self,
        index: NodeIndex,
        outcome: Outcome,
    ) -> Result<(), EngineError> {
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

    pub(super) fn retry_or_fail(
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
            action: self.action_to_run(index)?,
            reason: Reason::Retried(attempt),
            passed_over: 0,
        };
        self.delayed.push((Instant::now() + wait, index, ready));
        Ok(())
    }

    pub(super) fn made(&mut self, index: NodeIndex, manifest: Manifest) -> Result<(), EngineError> {
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

    pub(super) fn fail(&mut self, index: NodeIndex, message: &str, hint: Option<&str>) {
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
    pub(super) fn with_origins(&self, index: NodeIndex, hint: Option<String>) -> Option<String> {
        let origins = self.workspace.graph.origins(index).into_iter();
        let told = origins.map(|(role, path)| format!("`{role}` comes from {}", path.display()));
        let lines: Vec<String> = hint.into_iter().chain(told).collect();
        (!lines.is_empty()).then(|| lines.join("\n  "))
    }

    /// Gives up on everything that needs a lost node.
    pub(super) fn lose_dependants(&mut self, index: NodeIndex) {
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

    pub(super) fn report_lost(&mut self, lost: NodeIndex, down: NodeIndex, first: NodeIndex) {
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
        let message = &match self.never_seen(first) {
            Some(path) => format!(
                "it needs {because}, which reads {}, and cpipe.lock does not say what that was",
                path.display()
            ),
            None => format!("it needs {because}, which is not in the cache"),
        };
        let command = match self.options.command.as_str() {
            "" => "cpipe run",
            command => command,
        };
        let hint = format!("`{command} '{because}'` makes it");
        self.tell(&Event::NodeFailed {
            node,
            message,
            hint: Some(&hint),
        });
        self.note(down, NodeState::Failed, None, Some(message));
    }

    /// A source of the node that has no digest, declared or remembered.
    fn never_seen(&self, index: NodeIndex) -> Option<PathBuf> {
        let sources = self.node(index).work.sources().into_iter();
        let mut paths = sources.filter(|s| s.pin.is_none()).map(|s| s.path);
        paths.find(|path| self.workspace.last_seen(path).is_none())
    }

    /// Writes down what became of a node.
    pub(super) fn note(
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
}
