//! GPT-NeoX, the architecture of Pythia, from Hugging Face's files.

mod config;
mod load;
mod model;

pub(crate) use config::ARCHITECTURE;
pub(crate) use model::{GptNeox, build};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use model::{Layer, Norm};
