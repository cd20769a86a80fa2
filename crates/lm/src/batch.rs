//! A batch on its way through a model.

use std::ops::Range;

use crate::{LmError, Sequence};

/// The sequences of a batch one under the other.
#[derive(Default)]
pub(crate) struct Rows {
    /// What the model is given: every id but the last of each sequence.
    pub(crate) ids: Vec<u32>,
    /// Rows of each sequence.
    pub(crate) windows: Vec<Range<usize>>,
    /// Rows of each sequence that predict a target.
    pub(crate) scored: Vec<Range<usize>>,
    pub(crate) targets: Vec<u32>,
}

impl Rows {
    pub(crate) fn new<'s>(sequences: impl Iterator<Item = &'s Sequence>) -> Self {
        let mut rows = Self::default();
        for sequence in sequences {
            let (start, targets) = (rows.ids.len(), sequence.targets());
            rows.ids.extend(&sequence.ids[..sequence.ids.len() - 1]);
            rows.targets.extend(targets);
            rows.windows.push(start..rows.ids.len());
            rows.scored
                .push(rows.ids.len() - targets.len()..rows.ids.len());
        }
        rows
    }
}

/// Log-probabilities on their way from a card: waits for them.
pub(crate) type Arrival = Box<dyn FnOnce() -> Result<Vec<f32>, LmError> + Send>;

/// Log-probabilities of a whole batch.
pub(crate) enum LogProbs {
    Ready(Vec<f32>),
    Later(Arrival),
}

/// A batch that was asked for.
pub(crate) struct Submitted {
    /// Targets of each sequence.
    pub(crate) counts: Vec<usize>,
    pub(crate) log_probs: LogProbs,
}

impl Submitted {
    /// Waits for it.
    pub(crate) fn wait(self) -> Result<Vec<Vec<f32>>, LmError> {
        let all = match self.log_probs {
            LogProbs::Ready(all) => all,
            LogProbs::Later(arrival) => arrival()?,
        };
        let mut rest = all.into_iter();
        let part = |n: &usize| rest.by_ref().take(*n).collect();
        Ok(self.counts.iter().map(part).collect())
    }
}
