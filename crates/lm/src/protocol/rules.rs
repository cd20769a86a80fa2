//! The parts that a protocol is made of, as pipeline.yaml writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands in front of the first token.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum FirstToken {
    /// Nothing: the first token of the chunk, and of each disjoint window, costs nothing.
    Free,
    /// The end-of-text token, so that every token costs.
    #[default]
    Prefixed,
}

/// Which tokens the model sees when it predicts one.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ContextRule {
    /// One window with the chunk's first tokens, at most this many and at most the model's context;
    /// the others are cut.
    Head(usize),
    /// Windows as long as the model's context, side by side.
    #[default]
    Disjoint,
    /// Windows that overlap.
    Sliding(Sliding),
}

/// Windows over end-of-text (if any) and the chunk's tokens, each of which scores what the ones
/// before it have not.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Sliding {
    /// Positions in a window; the model's context if not given.
    #[serde(default)]
    pub window: Option<usize>,
    /// Positions from one window to the next; half a window if not given.
    #[serde(default)]
    pub stride: Option<usize>,
}

/// What is paid for the bits that the text does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Nothing.
    #[default]
    None,
    /// The total is scaled by n / (n - lost), with the n raw bits and the lost bits of all chunks.
    Scaled,
    /// The bytes of an adaptive binary code that brings them back.
    Coded,
}

/// Which code length is taken of the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CodeLength {
    /// Σ -log2 p.
    #[default]
    Ideal,
    /// Σ -log2 p of a chunk, rounded up to a byte.
    Bytes,
    /// The bytes that the range coder writes for a chunk.
    Coder,
}

/// What a chunk's code length is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Denominator {
    /// All its raw bits.
    #[default]
    Raw,
    /// Its raw bits without the lost ones.
    Kept,
}

/// How the chunks of a cell become one ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    /// The mean of their ratios.
    #[default]
    Ratios,
    /// The sum of their code lengths over the sum of their denominators.
    Sums,
}

/// A full set of rules. What is not given is as in `full`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What stands in front of the first token.
    pub first_token: FirstToken,
    /// Which tokens the model sees.
    pub context: ContextRule,
    /// Probability below which no token goes.
    pub floor: Option<f64>,
    /// What is paid for lost bits.
    pub side: Side,
    /// Which code length is taken.
    pub length: CodeLength,
    /// What it is divided by.
    pub denominator: Denominator,
    /// Chunks whose ratio is outside this open interval are left out of averages, and counted.
    pub range: Option<(f64, f64)>,
    /// How chunks become one ratio.
    pub average: Average,
}

impl Rules {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// (dotted part, what is wrong with it).
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        self.check_context()?;
        if let Some(floor) = self.floor.filter(|p| !(*p > 0.0 && *p < 1.0)) {
            return Err(("floor", format!("{floor} is not between 0 and 1")));
        }
        if let Some((low, high)) = self
            .range
            .filter(|(low, high)| !(*low < *high && *low >= 0.0))
        {
            let message =
                format!("[{low}, {high}] is not a range of ratios: expected 0 ≤ low < high");
            return Err(("range", message));
        }
        if self.side == Side::Scaled && self.denominator == Denominator::Kept {
            let message = "`scaled` already makes up for the lost bits: use `denominator: raw`";
            return Err(("denominator", message.into()));
        }
        self.check_decodable()
    }

    fn check_context(&self) -> Result<(), (&'static str, String)> {
        match self.context {
            ContextRule::Head(0) => Err(("context.head", "at least one token is needed".into())),
            ContextRule::Sliding(Sliding {
                window: Some(0 | 1),
                ..
            }) => {
                let message = "a window needs a position to see and one to score: at least 2";
                Err(("context.sliding.window", message.into()))
            }
            ContextRule::Sliding(Sliding {
                stride: Some(0), ..
            }) => Err((
                "context.sliding.stride",
                "windows have to move on: at least 1".into(),
            )),
            ContextRule::Sliding(Sliding {
                window: Some(window),
                stride: Some(stride),
            }) if stride >= window => {
                let message = format!(
                    "{stride} is not below the window of {window}, so a token would have no context"
                );
                Err(("context.sliding.stride", message))
            }
            _ => Ok(()),
        }
    }

    /// The coder's length is for codes that really decode.
    fn check_decodable(&self) -> Result<(), (&'static str, String)> {
        if self.length != CodeLength::Coder {
            return Ok(());
        }
        let wrong = match (self.first_token, self.context, self.floor) {
            (FirstToken::Free, ..) => Some(("first_token", "a free token")),
            (_, ContextRule::Head(_), _) => Some(("context", "a chunk whose end is cut off")),
            (.., Some(_)) => Some(("floor", "probabilities that were raised to a floor")),
            _ => None,
        };
        match wrong {
            None => Ok(()),
            Some((part, what)) => Err((part, format!("`length: coder` cannot decode {what}"))),
        }
    }
}
