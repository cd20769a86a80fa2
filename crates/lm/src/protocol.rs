//! Scoring protocols: which windows of tokens the model sees, and what their bits come to.
//!
//! A protocol is a name for a full set of rules. Everything here is pure: a [`Plan`] lists windows,
//! the caller scores each once, and the plan turns the results into rows. Protocols that need the
//! same windows share them.

use std::ops::Range;

use cpipe_data::scores::ChunkScore;
use cpipe_data::tokens::{TokenSet, TokenizedChunk};
use serde::{Deserialize, Serialize};

use crate::LmError;

/// Tokens of a chunk that `paper` looks at; the others are cut.
const PAPER_TOKENS: usize = 1024;
/// Probability below which `paper` does not go.
const PAPER_FLOOR: f64 = 1e-10;
/// Ratios outside this open interval are left out of `paper`'s means.
const PAPER_RATIOS: (f64, f64) = (0.01, 10.0);

/// A name for a full set of scoring rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The paper author's rules: the first 1,024 tokens, the first one free, p at least 1e-10, the
    /// ratio over all raw bits, ratios outside (0.01, 10) left out.
    Paper,
    /// Every token costs: disjoint windows of the context, each behind an end-of-text token.
    Full,
    /// As `full`, with each chunk rounded up to a byte and lost bits taken off the raw ones.
    Deepmind,
}

impl Protocol {
    /// The name in files and in pipeline.yaml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Full => "full",
            Self::Deepmind => "deepmind",
        }
    }

    fn view(self) -> View {
        match self {
            Self::Paper => View::Head,
            Self::Full | Self::Deepmind => View::Whole,
        }
    }
}

/// A way to lay windows over a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum View {
    /// One window with the chunk's first tokens and nothing in front.
    Head,
    /// Disjoint windows over all tokens, each with end-of-text in front.
    Whole,
}

/// Tokens that the model sees at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of the chunk.
    pub chunk: usize,
    /// The chunk's tokens in this window.
    pub range: Range<usize>,
    /// Whether end-of-text stands in front, so that the first token costs too.
    pub prefixed: bool,
    view: View,
}

impl Window {
    /// The chunk's tokens that cost something.
    pub fn scored(&self) -> Range<usize> {
        let free = usize::from(!self.prefixed && !self.range.is_empty());
        self.range.start + free..self.range.end
    }

    /// What the model is given for this window of `chunk`.
    pub fn ids(&self, chunk: &TokenizedChunk<'_>, end_of_text: Option<u32>) -> Vec<u32> {
        let prefix = end_of_text.filter(|_| self.prefixed);
        let tokens = &chunk.ids[self.range.clone()];
        prefix.into_iter().chain(tokens.iter().copied()).collect()
    }

    /// Sums up the log-probabilities (natural, one per token of [`Self::scored`]) of this window.
    pub fn score(&self, chunk: &TokenizedChunk<'_>, log_probs: &[f32]) -> WindowScore {
        let floor = match self.view {
            View::Head => -PAPER_FLOOR.log2(),
            View::Whole => f64::INFINITY,
        };
        let mut score = WindowScore::default();
        let covered = &chunk.covered[self.scored()];
        for (i, (log_prob, bytes)) in log_probs.iter().zip(covered).enumerate() {
            let bits = -f64::from(*log_prob) * std::f64::consts::LOG2_E;
            score.add(bits, u64::from(*bytes), floor, i == 0);
        }
        score
    }
}

/// What one window came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WindowScore {
    /// Σ -log2 p, in bits.
    pub bits: f64,
    /// Bits of the first token that costs; 0 where it is not a number.
    pub first: f64,
    /// Tokens in the sum.
    pub tokens: u64,
    /// Raw bytes that these tokens cover.
    pub covered: u64,
    /// Tokens raised to the floor.
    pub floored: u64,
    /// Tokens left out because their log-probability was not a number.
    pub nan: u64,
}

impl WindowScore {
    fn add(&mut self, bits: f64, covered: u64, floor: f64, is_first: bool) {
        if bits.is_nan() {
            self.nan += 1;
            return;
        }
        self.floored += u64::from(bits > floor);
        let bits = bits.min(floor);
        if is_first {
            self.first = bits;
        }
        self.bits += bits;
        self.tokens += 1;
        self.covered += covered;
    }

    fn join(&mut self, other: &Self) {
        self.bits += other.bits;
        self.tokens += other.tokens;
        self.covered += other.covered;
        self.floored += other.floored;
        self.nan += other.nan;
    }
}

/// The windows that a set of protocols needs, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    protocols: Vec<Protocol>,
    windows: Vec<Window>,
}

impl Plan {
    /// Lays the windows of `protocols` over `tokens` for a model of `context` positions.
    ///
    /// # Errors
    /// When a protocol needs an end-of-text token and the tokenizer has none.
    pub fn new(protocols: &[Protocol], tokens: &TokenSet, context: usize) -> Result<Self, LmError> {
        let prefixed = protocols.iter().find(|p| p.view() == View::Whole);
        if let (Some(protocol), None) = (prefixed, tokens.header().end_of_text) {
            let name = protocol.name();
            let reason = format!(
                "protocol `{name}` starts each window with the end-of-text token, which this tokenizer lacks"
            );
            return Err(LmError::Tokens(reason));
        }
        let mut windows = Vec::new();
        for view in [View::Head, View::Whole] {
            if protocols.iter().any(|p| p.view() == view) {
                for (chunk, tokenized) in tokens.iter().enumerate() {
                    lay(view, chunk, tokenized.ids.len(), context, &mut windows);
                }
            }
        }
        Ok(Self {
            protocols: protocols.to_vec(),
            windows,
        })
    }

    /// The windows, which can be scored in any order.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The rows of `scores.parquet`: by protocol in the given order, then by chunk.
    ///
    /// # Panics
    /// When there are not as many scores as windows.
    pub fn rows(&self, tokens: &TokenSet, scores: &[WindowScore]) -> Vec<ChunkScore> {
        assert_eq!(self.windows.len(), scores.len());
        let mut rows = Vec::new();
        for protocol in &self.protocols {
            let mut pairs = self
                .windows
                .iter()
                .zip(scores)
                .filter(|(window, _)| window.view == protocol.view())
                .peekable();
            for (index, chunk) in tokens.iter().enumerate() {
                let mut total = WindowScore::default();
                while let Some((w, score)) = pairs.next_if(|(w, _)| w.chunk == index) {
                    total.join(score);
                    if w.range.start == 0 && w.prefixed {
                        total.first = score.first;
                    }
                }
                rows.push(row(*protocol, index, &chunk, &total));
            }
        }
        rows
    }
}

fn lay(view: View, chunk: usize, tokens: usize, context: usize, windows: &mut Vec<Window>) {
    let mut push = |range: Range<usize>| {
        windows.push(Window {
            chunk,
            range,
            prefixed: view == View::Whole,
            view,
        });
    };
    match view {
        View::Head => push(0..tokens.min(PAPER_TOKENS).min(context)),
        View::Whole => {
            let step = context - 1;
            for start in (0..tokens).step_by(step) {
                push(start..tokens.min(start + step));
            }
        }
    }
}

fn row(
    protocol: Protocol,
    index: usize,
    chunk: &TokenizedChunk<'_>,
    total: &WindowScore,
) -> ChunkScore {
    let raw = 8.0 * f64::from(chunk.info.raw_bytes);
    let (compressed_bits, raw_bits) = match protocol {
        Protocol::Paper | Protocol::Full => (total.bits, raw),
        Protocol::Deepmind => {
            let kept = raw - f64::from(chunk.info.lost_bits);
            (8.0 * (total.bits / 8.0).ceil(), kept)
        }
    };
    let cr = compressed_bits / raw_bits;
    let (low, high) = PAPER_RATIOS;
    let counts = match protocol {
        Protocol::Paper => cr > low && cr < high,
        Protocol::Full | Protocol::Deepmind => cr.is_finite(),
    };
    ChunkScore {
        protocol: protocol.name().into(),
        chunk: index as u64,
        tokens: chunk.ids.len() as u64,
        tokens_scored: total.tokens,
        raw_bytes: u64::from(chunk.info.raw_bytes),
        bytes_covered: total.covered,
        bits: total.bits,
        bits_first: total.first,
        side_bits: 0.0,
        compressed_bits,
        raw_bits,
        cr,
        floored: total.floored,
        nan: total.nan,
        // A ratio that lacks a token cannot be told, so it must not enter a mean.
        dropped: total.nan > 0 || !counts,
    }
}

#[cfg(test)]
mod tests;
