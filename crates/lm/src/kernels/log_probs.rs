//! The output layer and its softmax in one, so that logits are never stored.

use super::isa::dispatch;
use super::tile::{COLUMNS, ROWS, tile};
use super::vector_math::{exp_sum, max};
use super::weight::Matrix;

/// Panels that are looked at together: their logits stay in the nearest cache.
const PANELS: usize = 4;
const SPAN: usize = PANELS * COLUMNS;

/// Σ e^logit of a row so far, as `sum` · e^`top`.
#[derive(Clone, Copy)]
struct Total {
    top: f32,
    sum: f64,
    target: f32,
}

impl Total {
    /// Adds the logits of neighbouring columns.
    #[inline(always)]
    fn add(&mut self, logits: &[f32]) {
        let top = max(logits);
        if top > self.top {
            self.sum *= libm::exp(f64::from(self.top) - f64::from(top));
            self.top = top;
        }
        self.sum += exp_sum(logits, self.top);
    }

    fn log_prob(self) -> f32 {
        (f64::from(self.target) - f64::from(self.top) - libm::log(self.sum)) as f32
    }
}

dispatch! {
    /// ln p of `targets[t]` given row t of `hidden` (`[tokens, output.columns]`); `output` has a row
    /// for each entry of the vocabulary.
    pub(crate) fn target_log_probs(hidden: &[f32], output: &Matrix, targets: &[u32]) -> Vec<f32> = body
}

#[inline(always)]
fn body(hidden: &[f32], output: &Matrix, targets: &[u32]) -> Vec<f32> {
    let (inner, vocabulary) = (output.columns(), output.rows());
    let start = Total {
        top: f32::NEG_INFINITY,
        sum: 0.0,
        target: f32::NAN,
    };
    let mut totals = vec![start; targets.len()];
    let mut panels = vec![[0.0; COLUMNS]; PANELS * inner];
    let mut logits = [[0.0; SPAN]; ROWS];
    for first in (0..vocabulary).step_by(SPAN) {
        let span = SPAN.min(vocabulary - first);
        for (i, panel) in panels.chunks_mut(inner).enumerate() {
            if i * COLUMNS < span {
                output.pack(first + i * COLUMNS, panel);
            }
        }
        for (block, totals) in totals.chunks_mut(ROWS).enumerate() {
            let start = block * ROWS;
            let hidden = &hidden[start * inner..];
            multiply(hidden, inner, totals.len(), &panels, &mut logits);
            for (i, (total, logits)) in totals.iter_mut().zip(&logits).enumerate() {
                let logits = &logits[..span];
                if let Some(x) = logits.get((targets[start + i] as usize).wrapping_sub(first)) {
                    total.target = *x;
                }
                total.add(logits);
            }
        }
    }
    totals.into_iter().map(Total::log_prob).collect()
}

/// The logits of a few rows for all panels.
#[inline(always)]
fn multiply(
    hidden: &[f32],
    inner: usize,
    rows: usize,
    panels: &[[f32; COLUMNS]],
    logits: &mut [[f32; SPAN]; ROWS],
) {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (i, panel) in panels.chunks(inner).enumerate() {
        tile(hidden, inner, rows, panel, &mut sums);
        for (logits, sums) in logits.iter_mut().zip(&sums[..rows]) {
            logits[i * COLUMNS..(i + 1) * COLUMNS].copy_from_slice(sums);
        }
    }
}
