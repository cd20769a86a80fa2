//! What kernels should give, in f64 by definition.

use crate::Dtype;

/// Numbers between -1 and 1 that look random.
pub(super) fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0
    };
    (0..count).map(|_| next() as f32).collect()
}

/// How far a result may be from the truth, relative to its own size and to the size of what it was made of.
pub(super) fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 4e-6,
        Dtype::Bf16 => 1.0 / 128.0,
        Dtype::F16 => 1.0 / 1024.0,
    }
}

/// Panics unless all are near.
pub(super) fn near(what: &str, ours: &[f32], truth: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), truth.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(truth).enumerate() {
        let apart = (f64::from(*a) - b).abs();
        assert!(
            apart <= tolerance * (1.0 + b.abs()),
            "{what} [{i}]: {a} is not {b}"
        );
    }
}

/// Attention of one window's and head's queries, keys and values, a line of `size` numbers for each token.
pub(super) fn attention(queries: &[f32], keys: &[f32], values: &[f32], size: usize) -> Vec<f64> {
    let line = |all: &[f32], t: usize| -> Vec<f64> {
        all[t * size..(t + 1) * size]
            .iter()
            .map(|x| f64::from(*x))
            .collect()
    };
    let mut out = Vec::new();
    for t in 0..queries.len() / size {
        let query = line(queries, t);
        let score = |s: usize| {
            let dot: f64 = query.iter().zip(line(keys, s)).map(|(a, b)| a * b).sum();
            (dot / (size as f64).sqrt()).exp()
        };
        let weights: Vec<f64> = (0..=t).map(score).collect();
        let total: f64 = weights.iter().sum();
        let mixed = |i: usize| {
            weights
                .iter()
                .enumerate()
                .map(|(s, w)| w * line(values, s)[i])
                .sum::<f64>()
        };
        out.extend((0..size).map(|i| mixed(i) / total));
    }
    out
}
