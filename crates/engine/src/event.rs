//! Events: all that the engine tells the outside world. It never prints.

use serde::Serialize;

use crate::action::ActionKey;
use crate::explain::Reason;
use crate::stage::Report;

/// Something that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The graph is known and work begins.
    RunStarted {
        /// Nodes that are wanted.
        nodes: usize,
        /// Nodes that run at the same time at most.
        jobs: usize,
    },
    /// A node's outputs are in the cache.
    NodeCached {
        /// Label.
        node: &'a str,
        /// Action key.
        key: ActionKey,
    },
    /// A node begins to run.
    NodeStarted {
        /// Label.
        node: &'a str,
        /// Action key.
        key: ActionKey,
        /// Why it is not up to date.
        reason: &'a Reason,
        /// Threads that it was given.
        threads: usize,
    },
    /// A running node got further.
    NodeProgress {
        /// Label.
        node: &'a str,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
        /// What a unit is, such as `tokens`.
        unit: &'static str,
    },
    /// A node has run and its outputs are recorded.
    NodeFinished {
        /// Label.
        node: &'a str,
        /// Action key.
        key: ActionKey,
        /// How long it took.
        seconds: f64,
        /// Most memory that it had at once, in bytes, where it can be told.
        peak_memory: Option<u64>,
        /// What the stage says of its run.
        report: &'a Report,
    },
    /// Another process executes the same action; this one waits for it and shares the result.
    NodeWaiting {
        /// Label.
        node: &'a str,
    },
    /// An attempt failed and there will be another.
    NodeRetried {
        /// Label.
        node: &'a str,
        /// Number of the next attempt.
        attempt: u32,
        /// How long it waits until then.
        wait_seconds: f64,
        /// What went wrong.
        message: &'a str,
    },
    /// A node failed.
    NodeFailed {
        /// Label.
        node: &'a str,
        /// What went wrong.
        message: &'a str,
        /// What the user can do.
        hint: Option<&'a str>,
    },
    /// A node was not run because one it needs failed or the run was interrupted.
    NodeSkipped {
        /// Label.
        node: &'a str,
        /// Label of the node that failed.
        because: &'a str,
    },
    /// Something that the user should know but that stops nothing.
    Warning {
        /// What.
        message: String,
    },
    /// The run is over.
    RunFinished {
        /// Whether all that was asked for is up to date.
        complete: bool,
        /// Nodes that ran.
        executed: usize,
        /// Nodes that were found in the cache.
        cached: usize,
        /// Nodes that failed.
        failed: usize,
        /// Wall-clock seconds.
        seconds: f64,
    },
}

/// Whatever wants to know.
pub trait EventSink: Sync {
    /// Takes one event; called from several threads.
    fn event(&self, event: &Event<'_>);
}
