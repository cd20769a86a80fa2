//! From scores to claims: aggregate, fit, plot.

pub mod aggregate;
pub mod baselines;
mod bootstrap;
mod error;
pub mod fit;
pub mod plot;
pub mod table;
mod text_table;

pub use error::AnalysisError;
