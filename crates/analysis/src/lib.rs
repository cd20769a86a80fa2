//! From scores to claims: aggregate, fit, plot.

pub mod aggregate;
mod bootstrap;
mod cells_report;
mod csv_file;
mod error;
pub mod fit;
pub mod plot;
pub mod published;
pub mod table;
mod text_table;

pub use error::AnalysisError;
