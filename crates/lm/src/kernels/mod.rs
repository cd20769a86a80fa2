//! The arithmetic of the forward pass on plain slices: where another device would come in.
//!
//! Everything here runs on the calling thread. Every element of a result is computed by the same
//! operations in the same order whatever the instruction set, the number of rows and what else is in
//! the batch: products are summed with fused multiply-add one inner index after the other, other sums
//! run over a fixed number of lanes.
#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined does not get the instruction set that was dispatched to"
)]

mod attention;
mod blocks;
mod isa;
mod linear;
mod log_probs;
mod norm;
mod scan;
mod tile;
mod vector_math;
mod weight;

pub(crate) use attention::{Heads, Rotary, causal_attention};
pub(crate) use blocks::Blocks;
pub(crate) use isa::isa;
pub(crate) use linear::{After, linear};
pub(crate) use log_probs::target_log_probs;
pub(crate) use norm::{layer_norm, rms_norm};
pub(crate) use scan::{Scan, selective_scan};
pub(crate) use vector_math::Activation;
pub(crate) use weight::{Matrix, Stored};
