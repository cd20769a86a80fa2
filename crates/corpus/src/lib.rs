//! From sources to chunks: download, decode text, images and speech, cut.

mod audio;
mod chunk;
mod columns;
mod cut;
mod download;
mod error;
mod image;

pub use chunk::{Chunk, ChunkParams, Csv, Decoder, Files, Order, Patch};
pub use download::Download;
pub use error::CorpusError;
