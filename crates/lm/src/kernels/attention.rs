//! Causal self-attention with partial rotary positions.
//!
//! Works through one head at a time in blocks of query rows, and a block looks only at the keys it
//! may see, so the scores in memory never exceed one block.

use std::ops::Range;

use super::isa::dispatch;
use super::tile::{COLUMNS, ROWS, tile};
use super::vector_math::{exp_in_place, max};

/// Query rows that are handled together.
const BLOCK: usize = 32;

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
    /// The tables for `positions` positions, which are divided by `factor`, and the first `dims` (even)
    /// elements of a head.
    pub(crate) fn new(positions: usize, dims: usize, base: f64, factor: f64) -> Self {
        let half = dims / 2;
        let angle = |p: usize, i: usize| {
            // Everything from here is taken in f32, as in Transformers, so that the same angles come out.
            let inverse = (1.0 / base.powf((2 * i) as f64 / dims as f64)) as f32;
            f64::from(p as f32 * (inverse / factor as f32))
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

    /// Tables that turn nothing.
    pub(crate) fn none() -> Self {
        Self {
            cos: Vec::new(),
            sin: Vec::new(),
            half: 0,
        }
    }

    /// `[positions, half]`.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn cosines(&self) -> &[f32] {
        &self.cos
    }

    /// `[positions, half]`.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn sines(&self) -> &[f32] {
        &self.sin
    }

    /// Rotates the head vector `x` that stands at `position`.
    #[inline(always)]
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

/// Sizes of the attention layer, and where a row has each head's parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// Heads that query.
    pub(crate) count: usize,
    /// Heads that have keys and values; each serves `count / shared` neighbouring queries.
    pub(crate) shared: usize,
    /// Elements of one head's query, key or value.
    pub(crate) size: usize,
    /// Whether query, key and value of a head stand together, instead of all queries, all keys, all
    /// values.
    pub(crate) together: bool,
}

impl Heads {
    /// Elements of a row of queries, keys and values.
    pub(crate) fn row(self) -> usize {
        (self.count + 2 * self.shared) * self.size
    }

    /// Where the query, key and value of head `index` start in a row.
    fn parts(self, index: usize) -> [usize; 3] {
        if self.together {
            return [0, 1, 2].map(|part| (3 * index + part) * self.size);
        }
        let source = index / (self.count / self.shared);
        [
            index,
            self.count + source,
            self.count + self.shared + source,
        ]
        .map(|at| at * self.size)
    }
}

/// One head's queries (`[tokens, size]`), keys as panels of [`COLUMNS`] tokens, and values.
struct Head<const N: usize> {
    queries: Vec<f32>,
    keys: Vec<[f32; COLUMNS]>,
    /// Panels of N elements of the head, each with a line for every token.
    values: Vec<[f32; N]>,
    scratch: Vec<f32>,
    scores: Vec<f32>,
}

/// Attention of one window's `qkv` (`[tokens, heads.row()]`, biases added); `out` is
/// `[tokens, heads × size]`.
pub(crate) fn causal_attention(out: &mut [f32], qkv: &[f32], heads: Heads, rotary: &Rotary) {
    if heads.size <= 16 {
        narrow(out, qkv, heads, rotary);
    } else {
        wide(out, qkv, heads, rotary);
    }
}

dispatch! {
    fn narrow(out: &mut [f32], qkv: &[f32], heads: Heads, rotary: &Rotary) = all_heads::<16>
}

dispatch! {
    fn wide(out: &mut [f32], qkv: &[f32], heads: Heads, rotary: &Rotary) = all_heads::<COLUMNS>
}

#[inline(always)]
fn all_heads<const N: usize>(out: &mut [f32], qkv: &[f32], heads: Heads, rotary: &Rotary) {
    let tokens = qkv.len() / heads.row();
    let panels = tokens.div_ceil(COLUMNS);
    let mut head = Head {
        queries: vec![0.0; tokens * heads.size],
        keys: vec![[0.0; COLUMNS]; panels * heads.size],
        values: vec![[0.0; N]; heads.size.div_ceil(N) * tokens],
        scratch: vec![0.0; 3 * heads.size],
        scores: vec![0.0; BLOCK * panels * COLUMNS],
    };
    for index in 0..heads.count {
        head.load(qkv, heads, index, rotary);
        for start in (0..tokens).step_by(BLOCK) {
            head.attend(out, heads, index, start..tokens.min(start + BLOCK));
        }
    }
}

impl<const N: usize> Head<N> {
    /// Takes one head out of `qkv`: turns queries and keys, scales the queries.
    #[inline(always)]
    fn load(&mut self, qkv: &[f32], heads: Heads, index: usize, rotary: &Rotary) {
        let size = heads.size;
        let tokens = self.queries.len() / size;
        let scale = 1.0 / (size as f32).sqrt();
        let parts = heads.parts(index);
        for (t, row) in qkv.chunks_exact(heads.row()).enumerate() {
            for (to, at) in self.scratch.chunks_exact_mut(size).zip(parts) {
                to.copy_from_slice(&row[at..at + size]);
            }
            let (query, rest) = self.scratch.split_at_mut(size);
            let (key, value) = rest.split_at_mut(size);
            rotary.rotate(query, t);
            rotary.rotate(key, t);
            let queries = &mut self.queries[t * size..(t + 1) * size];
            for (to, from) in queries.iter_mut().zip(query) {
                *to = *from * scale;
            }
            let panel = &mut self.keys[t / COLUMNS * size..][..size];
            for (line, from) in panel.iter_mut().zip(key) {
                line[t % COLUMNS] = *from;
            }
            for (part, from) in value.chunks(N).enumerate() {
                self.values[part * tokens + t][..from.len()].copy_from_slice(from);
            }
        }
    }

    /// Writes the rows `block` of this head's output into `out`.
    #[inline(always)]
    fn attend(&mut self, out: &mut [f32], heads: Heads, index: usize, block: Range<usize>) {
        let (size, stride) = (heads.size, self.scores.len() / BLOCK);
        let mut scale = [0.0; BLOCK];
        self.score(size, block.clone());
        for (r, t) in block.clone().enumerate() {
            let row = &mut self.scores[r * stride..r * stride + block.end];
            scale[r] = 1.0 / softmax_numerators(row, t + 1);
        }
        let tokens = self.queries.len() / size;
        let mut sums = [[0.0; N]; ROWS];
        for part in 0..size.div_ceil(N) {
            let values = &self.values[part * tokens..part * tokens + block.end];
            let width = N.min(size - part * N);
            for start in (0..block.len()).step_by(ROWS) {
                let rows = ROWS.min(block.len() - start);
                tile(
                    &self.scores[start * stride..],
                    stride,
                    rows,
                    values,
                    &mut sums,
                );
                for (i, sums) in sums[..rows].iter().enumerate() {
                    let row = (block.start + start + i) * heads.count * size;
                    let out = &mut out[row + index * size + part * N..][..width];
                    for (to, x) in out.iter_mut().zip(sums) {
                        *to = *x * scale[start + i];
                    }
                }
            }
        }
    }

    /// Fills `scores` with the products of the queries of `block` and all keys before its end.
    #[inline(always)]
    fn score(&mut self, size: usize, block: Range<usize>) {
        let stride = self.scores.len() / BLOCK;
        let mut sums = [[0.0; COLUMNS]; ROWS];
        for panel in 0..block.end.div_ceil(COLUMNS) {
            let keys = &self.keys[panel * size..(panel + 1) * size];
            for start in (0..block.len()).step_by(ROWS) {
                let rows = ROWS.min(block.len() - start);
                let queries = &self.queries[(block.start + start) * size..];
                tile(queries, size, rows, keys, &mut sums);
                for (i, sums) in sums[..rows].iter().enumerate() {
                    let at = (start + i) * stride + panel * COLUMNS;
                    self.scores[at..at + COLUMNS].copy_from_slice(sums);
                }
            }
        }
    }
}

/// Turns the first `visible` scores of a row into e^(score - max) and the others into 0; gives the sum.
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
        for size in [5, 16, 24, 40] {
            check(2 * BLOCK + 3, size);
        }
    }

    fn check(tokens: usize, size: usize) {
        let qkv: Vec<f32> = (0..tokens * 3 * size)
            .map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 250.0)
            .collect();
        let rotary = Rotary::none();
        let heads = Heads {
            count: 1,
            shared: 1,
            size,
            together: true,
        };
        let mut out = vec![0.0; tokens * size];
        causal_attention(&mut out, &qkv, heads, &rotary);
        for (a, b) in out.iter().zip(naive(&qkv, tokens, size)) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn rotation_turns_pairs_and_leaves_the_rest() {
        let rotary = Rotary::new(2, 2, 10_000.0, 1.0);
        let mut x = [1.0, 0.0, 5.0];
        rotary.rotate(&mut x, 1);
        assert!((x[0] - 1f32.cos()).abs() < 1e-6 && (x[1] - 1f32.sin()).abs() < 1e-6);
        assert_eq!(x[2].to_bits(), 5f32.to_bits());
        let mut scaled = [1.0, 0.0];
        Rotary::new(5, 2, 10_000.0, 4.0).rotate(&mut scaled, 4);
        assert_eq!(scaled, x[..2]);
    }
}
