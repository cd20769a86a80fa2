use super::isa::dispatch;
use super::vector_math::{sum, sum_of_squares};

dispatch! {
    /// Layer normalisation of every row of `x`, with weight and bias of one row.
    pub(crate) fn layer_norm(out: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32) = body
}

#[inline(always)]
fn body(out: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
    let width = weight.len();
    for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = sum(row) / width as f32;
        let variance = sum_of_squares(row, mean) / width as f32;
        let scale = 1.0 / (variance + eps).sqrt();
        for (((y, x), w), b) in out.iter_mut().zip(row).zip(weight).zip(bias) {
            *y = (*x - mean) * scale * *w + *b;
        }
    }
}

dispatch! {
    /// Root-mean-square normalisation of every row of `x`, with a weight of one row.
    pub(crate) fn rms_norm(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) = rms_body
}

#[inline(always)]
fn rms_body(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let scale = 1.0 / (sum_of_squares(row, 0.0) / width as f32 + eps).sqrt();
        for ((y, x), w) in out.iter_mut().zip(row).zip(weight) {
            *y = *x * scale * *w;
        }
    }
}
