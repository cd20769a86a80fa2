//! GPT-NeoX, the architecture of Pythia, from Hugging Face's files.

mod config;
mod model;
mod weights;

pub use config::Config;
pub use model::Model;
