//! GPT-NeoX, the architecture of Pythia, from Hugging Face's files.

mod config;
mod load;
mod model;

pub(crate) use config::ARCHITECTURE;
pub(crate) use model::build;
