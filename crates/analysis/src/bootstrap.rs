//! Percentile bootstrap: seeded, and independent of the order of everything else.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator of its own for what `parts` name, so that nothing else changes its draws.
pub(crate) fn generator(seed: u64, parts: &[&str]) -> ChaCha8Rng {
    // FNV-1a over length-prefixed names: stable across versions and machines.
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in parts {
        (part.len() as u64)
            .to_le_bytes()
            .into_iter()
            .for_each(&mut add);
        part.bytes().for_each(&mut add);
    }
    ChaCha8Rng::seed_from_u64(hash)
}

/// `n` indices below `n`, drawn with replacement.
pub(crate) fn resample(random: &mut ChaCha8Rng, n: usize) -> Vec<usize> {
    (0..n)
        .map(|_| random.random_range(0..n as u32) as usize)
        .collect()
}

/// The 2.5 % and 97.5 % quantiles, by linear interpolation between order statistics.
pub(crate) fn interval(mut values: Vec<f64>) -> (f64, f64) {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    (quantile(&values, 0.025), quantile(&values, 0.975))
}

/// A quantile, by linear interpolation between order statistics.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q * last as f64;
    let (low, part) = (at as usize, at - at.floor());
    let high = (low + 1).min(last);
    sorted[low] + part * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let (lo, hi) = interval((0..=1000).map(f64::from).collect());
        assert!((lo - 25.0).abs() < 1e-9 && (hi - 975.0).abs() < 1e-9);
        assert!(interval(vec![]).0.is_nan());
    }

    #[test]
    fn names_do_not_run_into_each_other() {
        let draw = |parts: &[&str]| resample(&mut generator(1, parts), 100);
        assert_ne!(draw(&["ab", "c"]), draw(&["a", "bc"]));
        assert_eq!(draw(&["ab", "c"]), draw(&["ab", "c"]));
    }
}
