use super::vector_math::{sum, sum_of_squares, vectorized};

/// Layer normalisation of every row of `x` (`[tokens, width]`), with weight and bias of one row.
pub(super) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    vectorized(|| {
        let width = weight.len();
        for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let mean = sum(row) / width as f32;
            let variance = sum_of_squares(row, mean) / width as f32;
            let scale = 1.0 / (variance + eps).sqrt();
            for (((y, x), w), b) in out.iter_mut().zip(row).zip(weight).zip(bias) {
                *y = (*x - mean) * scale * *w + *b;
            }
        }
    });
    out
}

/// `x + (y + bias)`, with `bias` added to every row.
pub(super) fn add_with_bias(x: &[f32], y: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    vectorized(|| {
        let width = bias.len();
        let rows = x.chunks_exact(width).zip(y.chunks_exact(width));
        for (out, (x, y)) in out.chunks_exact_mut(width).zip(rows) {
            for (((out, x), y), b) in out.iter_mut().zip(x).zip(y).zip(bias) {
                *out = *x + (*y + *b);
            }
        }
    });
    out
}
