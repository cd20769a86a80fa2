//! The `fit` stage: laws of compression over parameters P, training steps S and tokens D, for each
//! protocol, modality and convention of counting parameters.
//!
//! `problem` minimises: separable least squares where a law is linear in some parameters,
//! Levenberg-Marquardt on all of them otherwise, from a grid of starts. Around the optimum it asks how
//! well the parameters are known: covariance, bootstrap, profile likelihood, criteria, left-out cells.

mod additive;
mod axis;
mod descent;
mod group;
mod leave_out;
mod linear;
mod method;
mod params;
mod points;
mod problem;
mod profile;
mod refits;
mod report;
mod stage;
mod statistics;
#[cfg(test)]
mod tests;

pub(crate) use additive::as_laws;
pub use method::{Loss, Space};
pub use params::{FitParams, Resample};
pub(crate) use report::name_of;
pub use stage::Fit;
