//! The arithmetic of the forward pass on plain slices, and its face as tensor operations.
//!
//! Everything here runs on the calling thread and does the same operations in the same order
//! whatever the instruction set, except for matrix products, whose inner sums may be fused. The
//! operations in [`ops`] are where a CUDA implementation goes.

mod attention;
mod log_probs;
mod matmul;
mod norm;
pub(crate) mod ops;
mod vector_math;

pub(crate) use attention::Rotary;
pub(crate) use vector_math::{Activation, isa};
