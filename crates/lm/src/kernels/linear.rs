//! Linear layers, and what follows them element by element.

use super::isa::dispatch;
use super::tile::{COLUMNS, ROWS, tile};
use super::vector_math::{Activation, activate};
use super::weight::Matrix;

/// What becomes of `y = x · weightᵀ + bias`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    /// `out = y`.
    Store,
    /// `out = activation(y)`.
    Activate(Activation),
    /// `out += y`.
    Add,
    /// `out *= y`.
    Multiply,
}

dispatch! {
    /// Applies a linear layer to every row of `x` (`[rows, weight.columns]`); `out` has rows of
    /// `weight.rows` elements that stand `stride` apart, `bias` has as many elements as such a row.
    pub(crate) fn linear(out: &mut [f32], stride: usize, x: &[f32], weight: &Matrix, bias: &[f32], after: After) = body
}

#[inline(always)]
fn body(out: &mut [f32], stride: usize, x: &[f32], weight: &Matrix, bias: &[f32], after: After) {
    let (inner, width) = (weight.columns(), weight.rows());
    let rows = x.len() / inner;
    let mut panel = vec![[0.0; COLUMNS]; inner];
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for first in (0..width).step_by(COLUMNS) {
        let columns = first..width.min(first + COLUMNS);
        weight.pack(first, &mut panel);
        let bias = &bias[columns.clone()];
        for start in (0..rows).step_by(ROWS) {
            let count = ROWS.min(rows - start);
            tile(&x[start * inner..], inner, count, &panel, &mut sums);
            for (i, sums) in sums[..count].iter().enumerate() {
                let at = (start + i) * stride;
                let out = &mut out[at + columns.start..at + columns.end];
                finish(out, sums, bias, after);
            }
        }
    }
}

#[inline(always)]
fn finish(out: &mut [f32], sums: &[f32; COLUMNS], bias: &[f32], after: After) {
    let values = sums.iter().zip(bias).map(|(y, b)| *y + *b);
    match after {
        After::Store => {
            for (out, y) in out.iter_mut().zip(values) {
                *out = y;
            }
        }
        After::Activate(activation) => {
            for (out, y) in out.iter_mut().zip(values) {
                *out = y;
            }
            activate(out, activation);
        }
        After::Add => {
            for (out, y) in out.iter_mut().zip(values) {
                *out += y;
            }
        }
        After::Multiply => {
            for (out, y) in out.iter_mut().zip(values) {
                *out *= y;
            }
        }
    }
}
