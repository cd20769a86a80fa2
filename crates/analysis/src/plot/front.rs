//! The least ratio that a compute budget buys, and the power law that it may follow.

/// A power law `scale · C^-exponent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Power {
    pub(super) scale: f64,
    pub(super) exponent: f64,
    /// Of the logarithms.
    pub(super) r2: f64,
}

/// Fewer points than this lie on some power law whatever they are.
const LEAST: usize = 4;

/// Places of the points (compute, ratio) that no other beats with as little compute or less; by compute.
pub(super) fn front(points: &[(f64, f64)]) -> Vec<usize> {
    let positive = |i: &usize| points[*i].0 > 0.0 && points[*i].1 > 0.0;
    let mut order: Vec<usize> = (0..points.len()).filter(positive).collect();
    order.sort_by(|a, b| {
        let by_compute = points[*a].0.total_cmp(&points[*b].0);
        by_compute.then(points[*a].1.total_cmp(&points[*b].1))
    });
    let mut least = f64::INFINITY;
    order.retain(|i| {
        let better = points[*i].1 < least;
        least = least.min(points[*i].1);
        better
    });
    order
}

/// Least squares in logarithms; none for too few points or points of one compute.
pub(super) fn power(points: &[(f64, f64)]) -> Option<Power> {
    if points.len() < LEAST {
        return None;
    }
    let n = points.len() as f64;
    let logs: Vec<(f64, f64)> = points
        .iter()
        .map(|(x, y)| (libm::log(*x), libm::log(*y)))
        .collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| -> f64 { logs.iter().map(|(a, b)| of(a - x, b - y)).sum() };
    let (xx, xy, yy) = (sum(&|a, _| a * a), sum(&|a, b| a * b), sum(&|_, b| b * b));
    let slope = xy / xx;
    let found = Power {
        scale: libm::exp(y - slope * x),
        exponent: -slope,
        r2: xy * xy / (xx * yy),
    };
    (found.scale.is_finite() && found.r2.is_finite()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [
            (2.0, 0.5),
            (1.0, 0.9),
            (3.0, 0.6),
            (4.0, 0.4),
            (1.0, 0.8),
            (f64::NAN, 0.1),
            (5.0, f64::NAN),
        ];
        assert_eq!(front(&points), [4, 0, 3]);
    }

    #[test]
    fn a_power_law_is_found_again() {
        let points: Vec<(f64, f64)> = [1.0, 10.0, 300.0, 1e5]
            .into_iter()
            .map(|c| (c, 3.0 * libm::pow(c, -0.05)))
            .collect();
        let found = power(&points).expect("a law");
        assert!((found.scale - 3.0).abs() < 1e-9);
        assert!((found.exponent - 0.05).abs() < 1e-9);
        assert!((found.r2 - 1.0).abs() < 1e-9);
        assert_eq!(power(&points[..3]), None);
        assert_eq!(power(&[(1.0, 0.5); 5]), None);
    }
}
