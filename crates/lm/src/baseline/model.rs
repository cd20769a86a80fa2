//! Adaptive frequency models of bytes, as ideal code lengths.

use std::collections::BTreeMap;

/// How much an estimate trusts the order below until it has seen that many bytes.
const TRUST: f64 = 1.0;
/// The same for single bytes over the uniform distribution: half a count for each byte.
const TRUST_UNIFORM: f64 = 128.0;

/// How often each byte followed a context.
#[derive(Default)]
struct Counts {
    total: u32,
    of: BTreeMap<u8, u32>,
}

impl Counts {
    fn estimate(&self, byte: u8, lower: f64, trust: f64) -> f64 {
        let count = self.of.get(&byte).copied().unwrap_or_default();
        (f64::from(count) + trust * lower) / (f64::from(self.total) + trust)
    }

    fn add(&mut self, byte: u8) {
        self.total += 1;
        *self.of.entry(byte).or_default() += 1;
    }
}

/// Σ -log2 p of every byte of `data`, given those before it, by a model of this order: the frequency
/// after the last `order` bytes, blended with that of the order below, down to uniform.
pub(super) fn adaptive_bits(data: &[u8], order: usize) -> f64 {
    let mut contexts: BTreeMap<&[u8], Counts> = BTreeMap::new();
    let mut bits = 0.0;
    for (at, byte) in data.iter().enumerate() {
        let mut p = 1.0 / 256.0;
        for length in 0..=order.min(at) {
            let trust = if length == 0 { TRUST_UNIFORM } else { TRUST };
            let counts = contexts.entry(&data[at - length..at]).or_default();
            p = counts.estimate(*byte, p, trust);
            counts.add(*byte);
        }
        bits -= libm::log2(p);
    }
    bits
}
