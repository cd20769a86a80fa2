//! From sources to chunks: download, decode text, images and speech, cut.

mod chunk;
mod chunk_params;
mod columns;
mod cut;
mod download;
mod error;
mod fetch;
mod guard;
mod http;
mod hub;
mod named;
mod picture;
mod sound;
mod staging;
mod unpack;

pub use chunk::Chunk;
pub use chunk_params::{ChunkParams, Crops, Csv, Decoder, Files, Order, Patch};
pub use download::Download;
pub use error::CorpusError;
pub use fetch::Fetcher;
pub use http::HttpError;
pub use hub::{hub_cache, hub_file, missing_bytes};
pub use staging::{Cleared, clear_downloads};
pub use unpack::UnpackError;

#[cfg(test)]
#[path = "../../../tests/hub/archives.rs"]
mod archives;
#[cfg(test)]
#[path = "../../../tests/hub/server.rs"]
mod server;
