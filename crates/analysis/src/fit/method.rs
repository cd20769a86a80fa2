use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is minimised over the residuals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Σ r².
    #[default]
    Squares,
    /// Σ r² up to δ and 2δ|r| - δ² beyond, so that outliers pull no harder than at δ.
    Huber(f64),
}

/// In which space residuals are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Ratio - law.
    #[default]
    Linear,
    /// ln ratio - ln law.
    Log,
}

/// How a law is fitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    pub(crate) loss: Loss,
    pub(crate) space: Space,
    /// Starts along each of two exponents; the grid over more parameters is coarser.
    pub(crate) starts: usize,
    /// Steps shorter than this end a search.
    pub(crate) tolerance: f64,
}

impl Loss {
    pub(super) fn of(self, residual: f64) -> f64 {
        match self {
            Self::Huber(delta) if residual.abs() > delta => delta * (2.0 * residual.abs() - delta),
            _ => residual * residual,
        }
    }
}

impl Space {
    /// A ratio as this space has it.
    pub(super) fn enter(self, ratio: f64) -> f64 {
        match self {
            Self::Linear => ratio,
            Self::Log => libm::log(ratio),
        }
    }

    /// The ratio that stands for a value of this space.
    pub(super) fn leave(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => libm::exp(value),
        }
    }
}
