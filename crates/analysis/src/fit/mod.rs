//! The `fit` stage: CR(P, S) = a + b·P^-α + c·S^-β for each protocol, modality and convention.
//!
//! Separable least squares: for given exponents the amplitudes are a small non-negative linear
//! problem, so that only (α, β) are searched, within bounds and from many starts.

mod linear;
mod report;
mod solve;
mod stage;

pub use solve::{FitOptions, LawFit, fit_law};
pub use stage::{Bounds, Fit, FitParams};
