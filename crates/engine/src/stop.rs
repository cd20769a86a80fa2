//! Why an execution has no result.

use petgraph::graph::NodeIndex;

use crate::error::EngineError;

/// Why an execution has no result.
pub(crate) enum Stop {
    /// An input's bytes are gone or damaged; that node has to run again.
    InputDamaged(NodeIndex),
    /// It failed: message and hint.
    Failed(String, Option<String>),
    /// The run is being interrupted.
    Cancelled,
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        match &error {
            EngineError::Entry { fault, .. } => {
                Self::Failed(error.to_string(), Some(fault.hint().to_owned()))
            }
            other => Self::Failed(other.to_string(), None),
        }
    }
}
