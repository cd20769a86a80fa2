//! exp, GELU and reductions over slices, as loops that the compiler vectorises.
//!
//! Scalar libm calls would cost more than all matrix products of a small model. The functions are
//! branch-free polynomials without fused multiply-add, and reductions run over a fixed number of
//! lanes, so results are bitwise equal on every instruction set.

const LANES: usize = 16;
/// Adding and subtracting it rounds an f32 to an integer, which then stands in its low bits.
const ROUND: f32 = 12_582_912.0;

/// eˣ within 2e-7 relative for -87 ≤ x ≤ 88, held at the ends beyond; NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_2e-4_f32;
    for c in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p * r + c;
    }
    let y = p * (r * r) + r + 1.0;
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// erf(x) within 5e-7 relative: a rational minimax approximation (Eigen's).
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "coefficients as published")]
fn erf(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let x2 = x * x;
    let mut p = -2.726_142_2e-10_f32;
    for c in [
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        p = p * x2 + c;
    }
    let mut q = -1.456_607_2e-5_f32;
    for c in [
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_473_9e-2,
    ] {
        q = q * x2 + c;
    }
    x * p / q
}

/// Nonlinearity of the feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x · Φ(x) with the exact error function.
    GeluErf,
    /// The approximation of GELU by a hyperbolic tangent.
    GeluTanh,
    /// x / (1 + e^-x).
    Silu,
}

#[inline(always)]
fn gelu_erf(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // ½ (1 + tanh u) = 1 / (1 + e^(-2u)).
    let u = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-2.0 * u))
}

/// Applies `activation` to every value.
#[inline(always)]
pub(super) fn activate(values: &mut [f32], activation: Activation) {
    match activation {
        Activation::GeluErf => map(values, gelu_erf),
        Activation::GeluTanh => map(values, gelu_tanh),
        Activation::Silu => map(values, silu),
    }
}

#[inline(always)]
fn map(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for x in values {
        *x = function(*x);
    }
}

/// Largest element; NaN elements are passed over.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(f32::NEG_INFINITY, |m, x| if *x > m { *x } else { m })
}

/// Σ values, over fixed lanes.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane += *x;
        }
    }
    fold(lanes) + rest.iter().sum::<f32>()
}

/// Σ (values - center)², over fixed lanes.
#[inline(always)]
pub(super) fn sum_of_squares(values: &[f32], center: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane += (*x - center) * (*x - center);
        }
    }
    let rest = rest.iter().map(|x| (x - center) * (x - center));
    fold(lanes) + rest.sum::<f32>()
}

/// Replaces each x by e^(x - shift) and returns their sum.
#[inline(always)]
pub(super) fn exp_in_place(values: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = values.as_chunks_mut::<LANES>();
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *x = exp(*x - shift);
            *lane += *x;
        }
    }
    let mut total = fold(lanes);
    for x in rest {
        *x = exp(*x - shift);
        total += *x;
    }
    total
}

/// Σ e^(x - shift), summed in f64 over blocks of 1,024.
#[inline(always)]
pub(super) fn exp_sum(values: &[f32], shift: f32) -> f64 {
    let mut total = 0.0;
    for part in values.chunks(64 * LANES) {
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = part.as_chunks::<LANES>();
        for block in blocks {
            for (lane, x) in lanes.iter_mut().zip(block) {
                *lane += exp(*x - shift);
            }
        }
        let rest = rest.iter().map(|x| exp(*x - shift));
        total += f64::from(fold(lanes) + rest.sum::<f32>());
    }
    total
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::super::isa::dispatch;
    use super::*;

    /// erf in f64 from its Taylor series, good to 1e-13 below 4.2.
    fn erf64(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    fn grid(lo: f32, hi: f32, n: u16) -> impl Iterator<Item = f32> {
        (0..=n).map(move |i| lo + (hi - lo) * f32::from(i) / f32::from(n))
    }

    #[test]
    fn exp_is_accurate() {
        let worst = grid(-87.0, 88.0, 60_000)
            .map(|x| (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 2e-7, "{worst:e}");
        assert!(exp(f32::NAN).is_nan() && exp(-1e9) < 1e-37);
    }

    #[test]
    fn erf_is_accurate() {
        let worst = grid(1e-6, 4.0, 60_000)
            .map(|x| (f64::from(erf(x)) / erf64(f64::from(x)) - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 5e-7, "{worst:e}");
        assert!(erf(f32::NAN).is_nan() && (erf(-9.0) + 1.0).abs() < 1e-6);
    }

    #[test]
    fn gelu_is_accurate() {
        for x in grid(-8.0, 8.0, 10_000) {
            let wide = f64::from(x);
            let exact = 0.5 * wide * (1.0 + erf64((wide / 2f64.sqrt()).clamp(-4.2, 4.2)));
            // |x| / 2 times the error of erf, and rounding.
            let bound = 3e-7 * wide.abs().max(1.0);
            assert!((f64::from(gelu_erf(x)) - exact).abs() < bound, "{x}");
            let u = 0.797_884_560_802_865_4 * (wide + 0.044_715 * wide.powi(3));
            let tanh = 0.5 * wide * (1.0 + u.tanh());
            assert!((f64::from(gelu_tanh(x)) - tanh).abs() < 2e-6, "{x}");
        }
    }

    /// The reductions on one slice, and the slice afterwards.
    #[inline(always)]
    fn all(values: &mut [f32]) -> [u64; 4] {
        let wide = [exp_sum(values, 1.5), f64::from(sum_of_squares(values, 0.5))];
        activate(&mut values[..99], Activation::GeluErf);
        activate(&mut values[99..200], Activation::GeluTanh);
        let [a, b] = wide.map(f64::to_bits);
        [
            a,
            b,
            sum(values).to_bits().into(),
            exp_in_place(values, 1.5).to_bits().into(),
        ]
    }

    dispatch! {
        fn all_dispatched(values: &mut [f32]) -> [u64; 4] = all
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let values: Vec<f32> = grid(-30.0, 2.0, 5001).collect();
        let (mut plain, mut wide) = (values.clone(), values.clone());
        assert_eq!(all(&mut plain), all_dispatched(&mut wide));
        assert_eq!(plain, wide);
        let (a, b) = (
            exp_sum(&values, 1.5),
            exp_in_place(&mut values.clone(), 1.5),
        );
        assert!((a / f64::from(b) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_nan_reaches_the_sum() {
        let values = [1.0, f32::NAN, 2.0];
        assert!(exp_sum(&values, max(&values)).is_nan());
    }
}
