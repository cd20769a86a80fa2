//! Formulas as users write them: `a + b * P^-alpha`, `text.alpha / 0.076`, `count(cr_std < 0.01)`.
//!
//! Numbers, names with dots, calls, `+ - * / ^`, one comparison (`< <= > >= ==`). A mistake is told
//! with the place where it stands. What names and calls mean is for the user of the tree to say.

mod parse;
mod token;

pub(crate) use parse::{Expr, Operator, parse};

/// What is wrong with a formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Characters before the place.
    pub(crate) at: usize,
    /// A lowercase fragment.
    pub(crate) message: String,
}

impl Mistake {
    /// The formula, the place, and what is wrong there.
    pub(crate) fn show(&self, formula: &str) -> String {
        let message = &self.message;
        if self.at >= formula.chars().count() {
            return format!("`{formula}`, at its end: {message}");
        }
        format!("`{formula}`, column {}: {message}", self.at + 1)
    }
}
