use super::matmul::{Matrix, matmul};
use super::vector_math::{exp_sum, max, vectorized};

/// Logits that are in memory at once, in elements; at most 256 rows of them.
const BLOCK_ELEMENTS: usize = 1 << 18;

/// ln p of `targets[t]` given row t of `hidden` (`[tokens, width]`), with the output matrix given
/// transposed (`[width, vocabulary]`).
///
/// Logits exist one block of rows at a time: for a vocabulary of 50,304 all of them would take
/// gigabytes.
pub(super) fn target_log_probs(hidden: &[f32], output: &[f32], targets: &[u32]) -> Vec<f32> {
    let tokens = targets.len();
    let width = hidden.len() / tokens;
    let vocabulary = output.len() / width;
    let block = (BLOCK_ELEMENTS / vocabulary).clamp(16, 256);
    let mut logits = vec![0.0; block.min(tokens) * vocabulary];
    let mut out = Vec::with_capacity(tokens);
    let matrix = Matrix::rows(output, width, vocabulary, vocabulary);
    for (hidden, targets) in hidden.chunks(block * width).zip(targets.chunks(block)) {
        let rows = Matrix::rows(hidden, targets.len(), width, width);
        matmul(&mut logits, vocabulary, rows, matrix);
        vectorized(|| {
            for (row, target) in logits.chunks_exact(vocabulary).zip(targets) {
                out.push(log_prob(row, *target as usize));
            }
        });
    }
    out
}

#[expect(
    clippy::inline_always,
    reason = "runs under a dispatched instruction set"
)]
#[inline(always)]
fn log_prob(logits: &[f32], target: usize) -> f32 {
    let top = max(logits);
    let total = exp_sum(logits, top);
    (f64::from(logits[target] - top) - total.ln()) as f32
}
