//! The artifact formats of cpipe: one type and one file format per arrow of the pipeline.
//!
//! downloaded file → [`chunks`] → [`tokens`] → [`scores`] → [`observations`] → [`fit_report`] → figures.
//! Every format carries a version, is written deterministically, and is validated when it is read:
//! a damaged file is a [`FormatError`], never a panic. Nothing here knows a model, a table engine or
//! the build engine.

pub mod chunks;
pub mod claims;
mod error;
pub mod fit_report;
mod json_report;
pub mod law_report;
pub mod observations;
pub mod scores;
pub mod tokens;

pub use error::FormatError;
