//! GPT-NeoX, the architecture of Pythia, from Hugging Face's files.

mod config;
mod load;
mod model;
mod weights;

pub use config::Config;
pub use model::Model;
