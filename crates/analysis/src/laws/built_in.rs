//! The laws that need no definition.

use super::law::{LawParams, ParameterParams};

/// A name, a formula, and the range of each parameter; none above means unbounded.
type BuiltIn = (
    &'static str,
    &'static str,
    &'static [(&'static str, f64, Option<f64>)],
);

/// Sources: `additive` the paper under study; `chinchilla` Hoffmann et al. 2022, equation 2; `kaplan`
/// Kaplan et al. 2020, equation 1.5; `product` one term for size and training together.
const LAWS: [BuiltIn; 4] = [
    (
        "additive",
        "a + b * P^-alpha + c * S^-beta",
        &[
            ("a", 0.0, None),
            ("b", 0.0, None),
            ("c", 0.0, None),
            ALPHA,
            BETA,
        ],
    ),
    (
        "chinchilla",
        "E + A * P^-alpha + B * D^-beta",
        &[
            ("E", 0.0, None),
            ("A", 0.0, None),
            ("B", 0.0, None),
            ALPHA,
            BETA,
        ],
    ),
    (
        "kaplan",
        "((Pc / P)^(alpha_P / alpha_D) + Dc / D)^alpha_D",
        &[
            ("Pc", 1e-30, Some(1e30)),
            ("Dc", 1e-30, Some(1e30)),
            ("alpha_P", 0.001, Some(1.0)),
            ("alpha_D", 0.001, Some(1.0)),
        ],
    ),
    (
        "product",
        "a + b * P^-alpha * S^-beta",
        &[("a", 0.0, None), ("b", 0.0, None), ALPHA, BETA],
    ),
];

const ALPHA: (&str, f64, Option<f64>) = ("alpha", 0.001, Some(3.0));
const BETA: (&str, f64, Option<f64>) = ("beta", 0.001, Some(3.0));

/// Names of the built-in laws.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    LAWS.iter().map(|(name, ..)| *name)
}

/// The definition of a built-in law.
pub(super) fn find(name: &str) -> Option<LawParams> {
    let (_, formula, ranges) = LAWS.iter().find(|(n, ..)| *n == name)?;
    let parameter = |(name, min, max): &(&str, f64, Option<f64>)| {
        let range = ParameterParams {
            min: Some(*min),
            max: *max,
            start: None,
        };
        ((*name).to_owned(), range)
    };
    Some(LawParams {
        formula: (*formula).to_owned(),
        parameters: ranges.iter().map(parameter).collect(),
    })
}
