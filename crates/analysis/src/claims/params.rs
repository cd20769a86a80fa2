use std::collections::BTreeMap;

use cpipe_data::fit_report::Convention;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::{Expr, parse};

/// Parameters of the `verify` stage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyParams {
    /// What is claimed.
    pub claims: Vec<ClaimParams>,
    /// Name in formulas → name of a source: further CSV tables.
    #[serde(default)]
    pub tables: BTreeMap<String, String>,
    /// Whether the stage fails if a claim does.
    #[serde(default)]
    pub fail: bool,
}

/// A claim as written: `value` is `expected` ± `tolerance`, or above or below a number.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimParams {
    /// In words.
    pub text: String,
    /// Where it is made.
    #[serde(default)]
    pub source: String,
    /// The fit and the cells that bare names are of.
    #[serde(default, rename = "for")]
    pub scope: Scope,
    /// A formula over fits, cells and tables.
    pub value: String,
    /// What it should be.
    #[serde(default)]
    pub expected: Option<f64>,
    /// How far it may be from that.
    #[serde(default)]
    pub tolerance: Option<f64>,
    /// What it should be above.
    #[serde(default)]
    pub above: Option<f64>,
    /// What it should be below.
    #[serde(default)]
    pub below: Option<f64>,
    /// Over what the interval is taken.
    #[serde(default)]
    pub interval: IntervalOver,
}

/// The fit and the cells that a claim is about; what is not given is not restricted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Protocol of the cells.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Modality of the cells.
    #[serde(default)]
    pub modality: Option<String>,
    /// What P is; the first that was fitted if not given.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// Name of the law; the first that was fitted if not given.
    #[serde(default)]
    pub law: Option<String>,
    /// Name of the model.
    #[serde(default)]
    pub model: Option<String>,
    /// Training step.
    #[serde(default)]
    pub step: Option<u64>,
}

/// Over what an interval is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalOver {
    /// Refits to resampled data: what another sample might have given.
    #[default]
    Bootstrap,
    /// Refits to ratios moved within their last printed digit: what the printed numbers allow.
    Rounding,
    /// The value alone.
    None,
}

/// What is claimed of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    Near(f64, f64),
    Above(f64),
    Below(f64),
}

impl ClaimParams {
    /// The formula and what is claimed of it.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub(super) fn check(&self) -> Result<(Expr, Expected), (String, String)> {
        let value = parse(&self.value)
            .map_err(|mistake| ("value".to_owned(), mistake.show(&self.value)))?;
        let numbers = [self.expected, self.tolerance, self.above, self.below];
        if numbers.into_iter().flatten().any(|n| !n.is_finite()) {
            return Err(("value".to_owned(), "a claim is about finite numbers".into()));
        }
        let expected = match numbers {
            [Some(value), tolerance, None, None] if tolerance.unwrap_or(0.0) >= 0.0 => {
                Expected::Near(value, tolerance.unwrap_or(0.0))
            }
            [None, None, Some(bound), None] => Expected::Above(bound),
            [None, None, None, Some(bound)] => Expected::Below(bound),
            _ => {
                let message =
                    "expected one of `expected` (with a `tolerance` from 0), `above` and `below`";
                return Err((String::new(), message.to_owned()));
            }
        };
        Ok((value, expected))
    }
}
