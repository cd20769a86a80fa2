//! From scores to claims: aggregate, fit, plot.

pub mod aggregate;
pub mod baselines;
mod bootstrap;
mod cells_report;
pub mod claims;
mod csv_file;
mod draws;
mod error;
mod expression;
pub mod fit;
pub mod laws;
pub mod plot;
pub mod predict;
pub mod published;
pub mod table;
#[cfg(test)]
mod testing;
mod text_table;

pub use error::AnalysisError;
