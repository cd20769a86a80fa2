//! Laws as data: formulas over P, S and D with named parameters, built in or written by the user.
//!
//! `Law` checks a formula and compiles it; `Evaluator` gives its values and exact derivatives
//! (forward automatic differentiation) at the cells of a study.

mod built_in;
mod compile;
mod evaluate;
mod law;
mod predict;

pub(crate) use evaluate::Evaluator;
pub(crate) use law::{Law, ParameterRange};
pub use law::{LawParams, ParameterParams};
pub(crate) use predict::{Prediction, exponents, function, operation, surface};
