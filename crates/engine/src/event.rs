//! Events: all that the engine tells the outside world. It never prints.

use serde::Serialize;

use crate::explain::Reason;

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
        key: String,
    },
    /// A node begins to run.
    NodeStarted {
        /// Label.
        node: &'a str,
        /// Action key.
        key: String,
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
        key: String,
        /// How long it took.
        seconds: f64,
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
