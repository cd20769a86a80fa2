//! Observations: what a cell (model, step, modality) came to under one protocol.
//!
//! The columns of `cells.{parquet,csv,md,tex}`. The table engine that writes them lives in the
//! analysis crate; this is the row.

use serde::{Deserialize, Serialize};

/// Names of the columns, in their order.
pub const COLUMNS: [&str; 24] = [
    "model",
    "params_nominal",
    "params_total",
    "params_non_embedding",
    "step",
    "modality",
    "protocol",
    "chunks",
    "cr",
    "cr_mean",
    "cr_std",
    "cr_sem",
    "cr_lo",
    "cr_hi",
    "cr_sum_ratio",
    "bits_per_byte",
    "side_bits",
    "context_min",
    "context_mean",
    "tokens",
    "tokens_scored",
    "dropped",
    "nan",
    "floored",
];

/// One row of the cells table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// Name of the model.
    pub model: String,
    /// The size by which the model is known; none where the pipeline declares none.
    pub params_nominal: Option<f64>,
    /// Parameters counted in the weights.
    pub params_total: u64,
    /// Parameters counted in the weights without the two embedding matrices.
    pub params_non_embedding: u64,
    /// Training step of the checkpoint.
    pub step: u64,
    /// Modality of the data.
    pub modality: String,
    /// Protocol of the score.
    pub protocol: String,
    /// Chunks that were scored, dropped ones included.
    pub chunks: u64,
    /// The ratio as the protocol averages: `cr_mean`, or `cr_sum_ratio` where it says so.
    pub cr: f64,
    /// Mean of the per-chunk ratios over the chunks that count.
    pub cr_mean: f64,
    /// Population standard deviation of the per-chunk ratios.
    pub cr_std: f64,
    /// Standard error of the mean: sample standard deviation / √n.
    pub cr_sem: f64,
    /// Lower end of the 95 % bootstrap interval of `cr` over chunks.
    pub cr_lo: f64,
    /// Upper end of the 95 % bootstrap interval of `cr` over chunks.
    pub cr_hi: f64,
    /// Σ compressed bits / Σ raw bits.
    pub cr_sum_ratio: f64,
    /// Σ bits / Σ raw bytes that the scored tokens cover.
    pub bits_per_byte: f64,
    /// Σ bits paid for what the text does not hold.
    pub side_bits: f64,
    /// Fewest ids that a scored token had before it in its window.
    pub context_min: u64,
    /// Mean of the ids that the scored tokens had before them.
    pub context_mean: f64,
    /// Tokens in all chunks; 0 where a table does not tell, and then the counts below are unknown too.
    pub tokens: u64,
    /// Tokens that were scored.
    pub tokens_scored: u64,
    /// Chunks that the protocol leaves out of the mean.
    pub dropped: u64,
    /// Chunks with a token whose log-probability was not a number.
    pub nan: u64,
    /// Tokens raised to the protocol's probability floor.
    pub floored: u64,
}
