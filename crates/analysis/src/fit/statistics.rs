//! What a fit says of itself: covariance, criteria, and the quantile that profiles need.

use super::linear::dot;

/// Covariance of the parameters, or which of them the data cannot tell apart.
pub(super) enum Spread {
    /// Row by row over the given columns.
    Covariance(Vec<Vec<f64>>),
    /// Places of columns that depend on each other.
    Dependent(Vec<usize>),
}

/// `s²·(JᵀJ)⁻¹` by QR of the scaled columns.
pub(super) fn spread(columns: &[Vec<f64>], variance: f64) -> Spread {
    let n = columns.len();
    let norms: Vec<f64> = columns.iter().map(|c| libm::sqrt(dot(c, c))).collect();
    if let Some(flat) = norms.iter().position(|norm| norm.is_nan() || *norm <= 0.0) {
        return Spread::Dependent(vec![flat]);
    }
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut r = vec![vec![0.0; n]; n];
    for (k, column) in columns.iter().enumerate() {
        let mut q: Vec<f64> = column.iter().map(|v| v / norms[k]).collect();
        for _ in 0..2 {
            for (i, b) in basis.iter().enumerate() {
                let part = dot(b, &q);
                r[i][k] += part;
                for (v, b) in q.iter_mut().zip(b) {
                    *v -= part * b;
                }
            }
        }
        r[k][k] = libm::sqrt(dot(&q, &q));
        if r[k][k].is_nan() || r[k][k] <= 1e-9 {
            return Spread::Dependent(dependent(&r, k));
        }
        for v in &mut q {
            *v /= r[k][k];
        }
        basis.push(q);
    }
    let inverse = upper_inverse(&r);
    let entry = |i: usize, j: usize| -> f64 {
        let product: f64 = (0..n).map(|k| inverse[i][k] * inverse[j][k]).sum();
        variance * product / (norms[i] * norms[j])
    };
    Spread::Covariance(
        (0..n)
            .map(|i| (0..n).map(|j| entry(i, j)).collect())
            .collect(),
    )
}

/// The columns that column `last` is made of, and itself.
fn dependent(r: &[Vec<f64>], last: usize) -> Vec<usize> {
    let mut weights = vec![0.0; last];
    for i in (0..last).rev() {
        let above: f64 = (i + 1..last).map(|j| r[i][j] * weights[j]).sum();
        weights[i] = (r[i][last] - above) / r[i][i];
    }
    let taking_part = (0..last).filter(|i| weights[*i].abs() > 1e-6);
    taking_part.chain([last]).collect()
}

fn upper_inverse(r: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = r.len();
    let mut inverse = vec![vec![0.0; n]; n];
    for j in 0..n {
        inverse[j][j] = 1.0 / r[j][j];
        for i in (0..j).rev() {
            let sum: f64 = (i + 1..=j).map(|k| r[i][k] * inverse[k][j]).sum();
            inverse[i][j] = -sum / r[i][i];
        }
    }
    inverse
}

/// `AICc` and `BIC` of a Gaussian model with `k` parameters besides its variance, from the squares that
/// it leaves over `n` points; none where they are not defined.
pub(super) fn criteria(squares: f64, n: usize, k: usize) -> (Option<f64>, Option<f64>) {
    let (cells, params) = (n as f64, k as f64 + 1.0);
    if squares <= 0.0 || !squares.is_finite() {
        return (None, None);
    }
    let deviance = cells * (libm::log(2.0 * std::f64::consts::PI * squares / cells) + 1.0);
    let room = cells - params - 1.0;
    let aicc = deviance + 2.0 * params + 2.0 * params * (params + 1.0) / room;
    let bic = deviance + params * libm::log(cells);
    ((room > 0.0).then_some(aicc), Some(bic))
}

/// The t for which |T| ≤ t in 95 % of cases, with `freedom` degrees.
pub(super) fn student_95(freedom: f64) -> f64 {
    let outside = |t: f64| incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5);
    let (mut low, mut high) = (0.0, 2.0);
    while outside(high) > 0.05 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if outside(middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularized incomplete beta function, by Lentz's continued fraction.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let log_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = libm::exp(a * libm::log(x) + b * libm::log(1.0 - x) - log_beta) / a;
    let tiny = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / tiny(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / tiny(1.0 + term * d);
            c = tiny(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() < 1e-15 * fraction.abs() {
            break;
        }
    }
    front * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // scipy.stats.t.ppf(0.975, ν)
        for (freedom, expected) in [
            (1.0, 12.706_204_736_174_7),
            (5.0, 2.570_581_835_636_2),
            (20.0, 2.085_963_447_265_9),
        ] {
            let found = student_95(freedom);
            assert!((found - expected).abs() < 1e-8, "{found} for {expected}");
        }
    }

    #[test]
    fn dependent_columns_are_named() {
        let columns = [
            vec![1.0, 1.0, 1.0],
            vec![1.0, 2.0, 3.0],
            vec![5.0, 8.0, 11.0],
        ];
        assert!(matches!(spread(&columns, 1.0), Spread::Dependent(places) if places == [0, 1, 2]));
        let Spread::Covariance(found) = spread(&columns[..2], 1.0) else {
            panic!("they are independent");
        };
        // (JᵀJ)⁻¹ = [[3, 6], [6, 14]]⁻¹ = [[14, -6], [-6, 3]] / 6
        assert!((found[0][0] - 14.0 / 6.0).abs() < 1e-12 && (found[0][1] + 1.0).abs() < 1e-12);
    }
}
