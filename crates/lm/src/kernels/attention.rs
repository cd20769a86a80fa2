//! Causal self-attention with partial rotary positions.
//!
//! Works through one head at a time in blocks of query rows, and a block looks only at the keys it
//! may see, so the scores in memory never exceed one block.

use super::matmul::{Matrix, matmul};
use super::vector_math::{exp_in_place, max, vectorized};

/// Query rows that are handled together.
const BLOCK: usize = 64;

/// Cosines and sines of the rotary position encoding.
#[derive(Debug)]
pub(crate) struct Rotary {
    /// `[positions, half]`.
    cos: Vec<f32>,
    /// `[positions, half]`.
    sin: Vec<f32>,
    half: usize,
}

impl Rotary {
    /// The tables for `positions` positions and the first `dims` (even) elements of a head.
    pub(crate) fn new(positions: usize, dims: usize, base: f64) -> Self {
        let half = dims / 2;
        let angle = |p: usize, i: usize| {
            // The product is taken in f32, as in Transformers, so that the same angles come out.
            let inverse = (1.0 / base.powf((2 * i) as f64 / dims as f64)) as f32;
            f64::from(p as f32 * inverse)
        };
        let table = |f: fn(f64) -> f64| {
            (0..positions)
                .flat_map(|p| (0..half).map(move |i| (p, i)))
                .map(|(p, i)| f(angle(p, i)) as f32)
                .collect()
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
            half,
        }
    }

    /// Rotates the head vector `x` that stands at `position`.
    fn rotate(&self, x: &mut [f32], position: usize) {
        let at = position * self.half;
        let (low, high) = x[..2 * self.half].split_at_mut(self.half);
        let cos = &self.cos[at..at + self.half];
        let sin = &self.sin[at..at + self.half];
        for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            (*a, *b) = (*a * *c - *b * *s, *b * *c + *a * *s);
        }
    }
}

/// Sizes of the attention layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) count: usize,
    /// Elements of one head's query, key or value.
    pub(super) size: usize,
}

/// One head's queries and values (`[tokens, size]`) and keys (`[size, tokens]`).
struct Head {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    scratch: Vec<f32>,
}

/// Attention of `qkv` (`[tokens, heads × 3 × size]`) plus its bias; gives `[tokens, heads × size]`.
pub(super) fn causal_attention(
    qkv: &[f32],
    bias: &[f32],
    heads: Heads,
    rotary: &Rotary,
) -> Vec<f32> {
    let tokens = qkv.len() / bias.len();
    let mut out = vec![0.0; tokens * heads.count * heads.size];
    let mut scores = vec![0.0; BLOCK * tokens];
    let mut head = Head {
        queries: vec![0.0; tokens * heads.size],
        keys: vec![0.0; tokens * heads.size],
        values: vec![0.0; tokens * heads.size],
        scratch: vec![0.0; 3 * heads.size],
    };
    for index in 0..heads.count {
        vectorized(|| head.load(qkv, bias, heads.size, index, rotary));
        for start in (0..tokens).step_by(BLOCK) {
            let rows = BLOCK.min(tokens - start);
            head.attend(heads, index, start..start + rows, &mut scores, &mut out);
        }
    }
    out
}

impl Head {
    /// Takes one head out of `qkv`: adds the bias, turns queries and keys, scales the queries.
    fn load(&mut self, qkv: &[f32], bias: &[f32], size: usize, index: usize, rotary: &Rotary) {
        let tokens = qkv.len() / bias.len();
        let span = index * 3 * size..(index + 1) * 3 * size;
        let scale = 1.0 / (size as f32).sqrt();
        for (t, row) in qkv.chunks_exact(bias.len()).enumerate() {
            let pairs = row[span.clone()].iter().zip(&bias[span.clone()]);
            for (x, (a, b)) in self.scratch.iter_mut().zip(pairs) {
                *x = *a + *b;
            }
            let (query, rest) = self.scratch.split_at_mut(size);
            let (key, value) = rest.split_at_mut(size);
            rotary.rotate(query, t);
            rotary.rotate(key, t);
            let queries = &mut self.queries[t * size..(t + 1) * size];
            for (to, from) in queries.iter_mut().zip(query) {
                *to = *from * scale;
            }
            for (i, from) in key.iter().enumerate() {
                self.keys[i * tokens + t] = *from;
            }
            self.values[t * size..(t + 1) * size].copy_from_slice(value);
        }
    }

    /// Writes the rows `block` of this head's output into `out`.
    fn attend(
        &self,
        heads: Heads,
        index: usize,
        block: std::ops::Range<usize>,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        let (size, width) = (heads.size, heads.count * heads.size);
        let (rows, visible) = (block.len(), block.end);
        let tokens = self.keys.len() / size;
        let scores = &mut scores[..rows * visible];
        let queries = Matrix::rows(&self.queries[block.start * size..], rows, size, size);
        let keys = Matrix::rows(&self.keys, size, visible, tokens);
        matmul(scores, visible, queries, keys);
        let mut scale = [0.0; BLOCK];
        vectorized(|| {
            for (r, row) in scores.chunks_exact_mut(visible).enumerate() {
                scale[r] = 1.0 / softmax_numerators(row, block.start + r + 1);
            }
        });
        let weights = Matrix::rows(scores, rows, visible, visible);
        let values = Matrix::rows(&self.values, visible, size, size);
        let out = &mut out[block.start * width + index * size..];
        matmul(out, width, weights, values);
        for (row, scale) in out.chunks_mut(width).zip(&scale[..rows]) {
            row[..size].iter_mut().for_each(|x| *x *= scale);
        }
    }
}

/// Turns the first `visible` scores of a row into e^(score - max) and the others into 0; gives the sum.
#[expect(
    clippy::inline_always,
    reason = "runs under a dispatched instruction set"
)]
#[inline(always)]
fn softmax_numerators(row: &mut [f32], visible: usize) -> f32 {
    let (seen, hidden) = row.split_at_mut(visible);
    hidden.fill(0.0);
    let top = max(seen);
    exp_in_place(seen, top)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, in f64, without blocks or rotary positions.
    fn naive(qkv: &[f32], tokens: usize, size: usize) -> Vec<f64> {
        let at = |t: usize, part: usize, i: usize| f64::from(qkv[t * 3 * size + part * size + i]);
        let mut out = Vec::new();
        for t in 0..tokens {
            let weight = |s: usize| {
                let dot: f64 = (0..size).map(|i| at(t, 0, i) * at(s, 1, i)).sum();
                (dot / (size as f64).sqrt()).exp()
            };
            let total: f64 = (0..=t).map(weight).sum();
            out.extend((0..size).map(|i| {
                let mixed: f64 = (0..=t).map(|s| weight(s) * at(s, 2, i)).sum();
                mixed / total
            }));
        }
        out
    }

    #[test]
    fn blocks_give_what_the_definition_gives() {
        let (tokens, size) = (2 * BLOCK + 3, 5);
        let qkv: Vec<f32> = (0..tokens * 3 * size)
            .map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 250.0)
            .collect();
        let rotary = Rotary::new(tokens, 0, 10_000.0);
        let heads = Heads { count: 1, size };
        let out = causal_attention(&qkv, &vec![0.0; 3 * size], heads, &rotary);
        for (a, b) in out.iter().zip(naive(&qkv, tokens, size)) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn rotation_turns_pairs_and_leaves_the_rest() {
        let rotary = Rotary::new(2, 2, 10_000.0);
        let mut x = [1.0, 0.0, 5.0];
        rotary.rotate(&mut x, 1);
        assert!((x[0] - 1f32.cos()).abs() < 1e-6 && (x[1] - 1f32.sin()).abs() < 1e-6);
        assert_eq!(x[2].to_bits(), 5f32.to_bits());
    }
}
