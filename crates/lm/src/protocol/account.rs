//! From the log-probabilities of a chunk to its row.

use cpipe_data::scores::ChunkScore;
use cpipe_data::tokens::TokenizedChunk;

use super::layout::Window;
use super::named::Protocol;
use super::plan::ModelShape;
use super::rules::{Average, CodeLength, Denominator, Rules, Side};
use crate::coder::{Length, TOKEN_BITS, token_width};

/// What the scored tokens of a chunk come to under one protocol's rules.
#[derive(Default)]
struct Tally {
    bits: f64,
    first: f64,
    tokens: u64,
    covered: u64,
    floored: u64,
    nan: u64,
    context_min: Option<u64>,
    context_sum: u64,
    coder: Length,
}

impl Tally {
    /// Adds the tokens of a window, given their natural log-probabilities.
    fn add(
        &mut self,
        window: &Window,
        chunk: &TokenizedChunk<'_>,
        log_probs: &[f32],
        floor: f64,
        vocabulary: u64,
    ) {
        for ((at, token), log_prob) in window.scored.clone().enumerate().zip(log_probs) {
            let bits = -f64::from(*log_prob) * std::f64::consts::LOG2_E;
            if bits.is_nan() {
                self.nan += 1;
                continue;
            }
            self.floored += u64::from(bits > floor);
            let bits = bits.min(floor);
            if token == 0 {
                self.first = bits;
            }
            self.bits += bits;
            self.tokens += 1;
            self.covered += u64::from(chunk.covered[token]);
            let context = (window.context() + at) as u64;
            self.context_min = Some(self.context_min.map_or(context, |least| least.min(context)));
            self.context_sum += context;
            self.coder
                .add(token_width(*log_prob, vocabulary), TOKEN_BITS);
        }
    }
}

/// The row of chunk number `index`. `parts` are its windows and what they scored; `scale` is
/// n / (n - lost) over all chunks.
pub(super) fn row<'p>(
    protocol: &Protocol,
    index: usize,
    chunk: &TokenizedChunk<'_>,
    parts: impl Iterator<Item = (&'p Window, &'p [f32])>,
    shape: ModelShape,
    scale: f64,
) -> ChunkScore {
    let rules = protocol.rules();
    let floor = rules.floor.map_or(f64::INFINITY, |p| -libm::log2(p));
    let mut tally = Tally::default();
    for (window, log_probs) in parts {
        tally.add(window, chunk, log_probs, floor, shape.vocabulary);
    }
    let length = match rules.length {
        CodeLength::Ideal => tally.bits,
        CodeLength::Bytes => 8.0 * (tally.bits / 8.0).ceil(),
        CodeLength::Coder => 8.0 * tally.coder.bytes() as f64,
    };
    let side_bits = side_bits(rules, length, chunk, scale);
    let raw_bits = raw_bits(rules, chunk);
    let compressed_bits = length + side_bits;
    let cr = compressed_bits / raw_bits;
    ChunkScore {
        protocol: protocol.name().into(),
        chunk: index as u64,
        tokens: chunk.ids.len() as u64,
        tokens_scored: tally.tokens,
        raw_bytes: u64::from(chunk.info.raw_bytes),
        bytes_covered: tally.covered,
        context_min: tally.context_min.unwrap_or_default(),
        context_mean: tally.context_sum as f64 / tally.tokens.max(1) as f64,
        bits: tally.bits,
        bits_first: tally.first,
        side_bits,
        compressed_bits,
        raw_bits,
        cr,
        floored: tally.floored,
        nan: tally.nan,
        // A ratio that lacks a token cannot be told, so it must not enter an average.
        dropped: tally.nan > 0 || !counts(rules, cr),
        pooled: rules.average == Average::Sums,
    }
}

fn side_bits(rules: Rules, length: f64, chunk: &TokenizedChunk<'_>, scale: f64) -> f64 {
    match rules.side {
        Side::None => 0.0,
        Side::Scaled => length * (scale - 1.0),
        Side::Coded => 8.0 * f64::from(chunk.info.plane_bytes),
    }
}

fn raw_bits(rules: Rules, chunk: &TokenizedChunk<'_>) -> f64 {
    let raw = 8.0 * f64::from(chunk.info.raw_bytes);
    match rules.denominator {
        Denominator::Raw => raw,
        Denominator::Kept => raw - f64::from(chunk.info.lost_bits),
    }
}

fn counts(rules: Rules, cr: f64) -> bool {
    let (low, high) = rules.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    cr > low && cr < high
}
