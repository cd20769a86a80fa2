//! Language models for cpipe: bytes become tokens, tokens become bits.
//!
//! Two stages. [`Tokenize`] maps chunks to token ids and proves that nothing was lost on the way.
//! [`Score`] runs a causal language model over them and accounts for every bit under one or more
//! [`Protocol`]s. One window of tokens is one unit of work, computed on one thread from the same
//! numbers in the same order, so scores do not depend on threads, order or batching.

mod error;
mod gpt_neox;
mod journal;
mod kernels;
mod model_cache;
mod protocol;
mod score;
mod tokenize;
mod tokenizer;

pub use error::LmError;
pub use gpt_neox::{Config, Model};
pub use protocol::{Plan, Protocol, Window, WindowScore};
pub use score::{Dtype, Score, ScoreParams, score_windows};
pub use tokenize::{Tokenize, TokenizeParams};
pub use tokenizer::{ChunkTokenizer, Tokenized};
