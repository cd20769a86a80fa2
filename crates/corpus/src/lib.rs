//! From sources to chunks: download, decode text, images and speech, cut.

mod audio;
mod chunk;
mod cut;
mod download;
mod error;
mod image;

pub use chunk::{Chunk, ChunkParams, Decoder, Order, Patch};
pub use download::Download;
pub use error::CorpusError;
