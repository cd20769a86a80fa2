//! The `verify` stage: the claims of a study against its tables and fits.
//!
//! A claim names a value (a formula over fits and cells), what it should be, and over what its interval
//! is taken. It holds if the whole interval is as claimed, fails if none of it is, and cannot be told
//! otherwise.

mod evidence;
mod judge;
mod known;
mod params;
mod report;
mod stage;
#[cfg(test)]
mod tests;

pub use params::{ClaimParams, IntervalOver, Scope, VerifyParams};
pub use stage::Verify;
