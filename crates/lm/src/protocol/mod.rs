//! Scoring protocols: which windows of tokens the model sees, and what their bits come to.
//!
//! A [`Protocol`] is a name for a full set of [`Rules`]. Everything here is pure: a [`Plan`] lists
//! windows, the caller has the model score each once, and the plan turns a chunk's log-probabilities
//! into rows. Protocols that need the same windows share them.

mod account;
mod layout;
mod named;
mod plan;
mod rules;

pub use layout::Window;
pub use named::{Preset, Protocol};
pub use plan::{ModelShape, Plan};
pub use rules::{Average, CodeLength, ContextRule, Denominator, FirstToken, Rules, Side, Sliding};

#[cfg(test)]
mod tests;
