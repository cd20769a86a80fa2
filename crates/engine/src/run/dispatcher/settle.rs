//! Deciding nodes whose inputs are known: up to date, to be run, or to wait for bytes that are gone.

use std::collections::{BTreeSet, VecDeque};

use petgraph::graph::NodeIndex;

use super::{Dispatcher, Mode, Ready, State};
use crate::action::{Action, ActionKey};
use crate::error::EngineError;
use crate::event::Event;
use crate::explain::Reason;
use crate::manifest::Manifest;
use crate::plan::{Resolution, used_outputs};

impl Dispatcher<'_> {
    /// Decides a node whose inputs are known: up to date, or to be run. Works off, without
    /// recursion, everything that becomes decidable by it.
    pub(super) fn settle(&mut self, index: NodeIndex) -> Result<(), EngineError> {
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
    pub(super) fn decide(&mut self, index: NodeIndex) -> Result<Option<Manifest>, EngineError> {
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

    pub(super) fn hit(&mut self, index: NodeIndex, key: ActionKey) {
        self.keys.insert(index, key);
        if self.is_counted(index) {
            let node = self.node(index).label();
            self.tell(&Event::NodeCached { node, key });
        }
    }

    /// With `--only` the nodes above the targets are looked up but not counted.
    pub(super) fn is_counted(&self, index: NodeIndex) -> bool {
        !self.options.only || self.targets.contains(&index)
    }

    /// Brings a node's copies in `outputs/` up to date. False if its bytes are not in the cache.
    pub(super) fn export(
        &self,
        index: NodeIndex,
        manifest: &Manifest,
    ) -> Result<bool, EngineError> {
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
    pub(super) fn enqueue(
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
            let action = if self.options.only {
                self.action_to_run(index)?
            } else {
                action
            };
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
    pub(super) fn never_fits(&self, index: NodeIndex) -> Option<String> {
        let there = |pool: &String| self.options.pools.get(pool).copied().unwrap_or(0);
        let mut pools = self.node(index).policy.pools.iter();
        let (pool, asked) = pools.find(|(pool, asked)| **asked > there(pool))?;
        let there = there(pool);
        Some(format!(
            "it needs {asked} of `{pool}`, and there are {there}"
        ))
    }

    pub(super) fn inputs_without_bytes(&self, index: NodeIndex) -> BTreeSet<NodeIndex> {
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
    pub(super) fn take_back(&mut self, index: NodeIndex) -> Result<(), EngineError> {
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
    pub(super) fn release(&mut self, index: NodeIndex, manifest: Manifest) -> Vec<NodeIndex> {
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
}
