//! Files of models and tokenizers, cut, flipped and shifted at random, or with other values: whoever reads one gives an error that names
//! it, or a value; never a panic, and never more memory than [`memory::LIMIT`].
//!
//! `PROPTEST_CASES=10000 cargo test --release -p cpipe-lm --test damage` tries more than the 256 of each kind.

#![allow(clippy::unwrap_used, reason = "tests")]

mod change;
mod memory;
mod models;
mod tokenizers;
mod values;
