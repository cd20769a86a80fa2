//! From scores to claims: aggregate, fit, plot.

pub mod aggregate;
mod bootstrap;
mod error;
pub mod fit;
pub mod plot;
pub mod table;
mod text_table;

pub use error::AnalysisError;
