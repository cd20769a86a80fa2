//! Language models for cpipe: bytes become tokens, tokens become bits.
//!
//! Two stages. [`Tokenize`] maps chunks to token ids and proves that nothing was lost on the way.
//! [`Score`] runs a causal language model over them and accounts for every bit under one or more
//! [`Protocol`]s. Every element of a result is computed by the same operations in the same order, so
//! scores do not depend on threads, order or batching. [`Baseline`] compresses the same chunks with
//! classical methods.

mod baseline;
mod batch;
mod coder;
mod cuda;
mod error;
mod gpt2;
mod gpt_neox;
mod journal;
mod kernels;
mod keys;
mod linear;
mod llama;
mod mamba;
mod model;
mod model_cache;
mod place;
mod pointer;
mod protocol;
mod score;
mod sequence;
mod tokenize;
mod tokenizer;
mod weights;
mod work;

pub use baseline::{Baseline, BaselineParams, Method};
pub use coder::{Decoder, Encoder, Length, TOKEN_BITS, decode_plane, encode_plane, token_width};
pub use error::LmError;
pub use model::{CardFacts, Model};
pub use place::{Device, DeviceClass, check_device, use_device};
pub use protocol::{
    Average, CodeLength, ContextRule, Denominator, FirstToken, ModelShape, Plan, Preset, Protocol,
    Rules, Side, Sliding, Window,
};
pub use score::{Dtype, Score, ScoreParams};
pub use sequence::Sequence;
pub use tokenize::{Tokenize, TokenizeParams};
pub use tokenizer::{ChunkTokenizer, Tokenized};
pub use work::score_windows;

#[cfg(test)]
#[path = "../../../tests/hub/pickles.rs"]
mod pickles;
