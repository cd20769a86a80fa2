//! Least squares on at most three columns with coefficients from 0 up.

/// Coefficients, residuals and their sum of squares.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(crate) coefficients: [f64; 3],
    pub(crate) residuals: Vec<f64>,
    pub(crate) rss: f64,
    /// Orthonormal basis of the columns that take part.
    basis: Vec<Vec<f64>>,
}

impl Linear {
    /// Takes out of `vector` what the columns that take part can express.
    pub(crate) fn project_out(&self, vector: &mut [f64]) {
        for q in &self.basis {
            subtract(vector, dot(q, vector), q);
        }
    }
}

/// Minimises |y - Σ xᵢ·columnᵢ|² over xᵢ ≥ 0 by trying every set of columns that may take part:
/// with three columns that is eight, and exact.
pub(crate) fn non_negative(columns: &[Vec<f64>; 3], y: &[f64]) -> Linear {
    let all = solve(columns, [true; 3], y);
    if let Some(all) = all.filter(|s| s.coefficients.iter().all(|x| *x >= 0.0)) {
        return all;
    }
    let subsets = [3u8, 5, 6, 1, 2, 4].into_iter();
    let feasible = subsets.filter_map(|set| {
        let taken = [set & 1 != 0, set & 2 != 0, set & 4 != 0];
        solve(columns, taken, y).filter(|s| s.coefficients.iter().all(|x| *x >= 0.0))
    });
    feasible
        .min_by(|a, b| a.rss.total_cmp(&b.rss))
        .unwrap_or_else(|| Linear {
            coefficients: [0.0; 3],
            residuals: y.to_vec(),
            rss: dot(y, y),
            basis: Vec::new(),
        })
}

/// QR by twice-repeated Gram-Schmidt; none if the columns are dependent.
fn solve(columns: &[Vec<f64>; 3], taken: [bool; 3], y: &[f64]) -> Option<Linear> {
    let places: Vec<usize> = (0..3).filter(|i| taken[*i]).collect();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut r = [[0.0; 3]; 3];
    for (k, place) in places.iter().enumerate() {
        let mut q = columns[*place].clone();
        let norm = dot(&q, &q);
        for _ in 0..2 {
            for (i, b) in basis.iter().enumerate() {
                let part = dot(b, &q);
                r[i][k] += part;
                subtract(&mut q, part, b);
            }
        }
        let left = dot(&q, &q);
        if left <= 1e-24 * norm || norm == 0.0 {
            return None;
        }
        r[k][k] = libm::sqrt(left);
        for v in &mut q {
            *v /= r[k][k];
        }
        basis.push(q);
    }
    let mut residuals = y.to_vec();
    let mut rhs = [0.0; 3];
    for (k, b) in basis.iter().enumerate() {
        rhs[k] = dot(b, &residuals);
        subtract(&mut residuals, rhs[k], b);
    }
    let mut coefficients = [0.0; 3];
    for k in (0..places.len()).rev() {
        let above: f64 = (k + 1..places.len())
            .map(|j| r[k][j] * coefficients[places[j]])
            .sum();
        coefficients[places[k]] = (rhs[k] - above) / r[k][k];
    }
    let rss = dot(&residuals, &residuals);
    Some(Linear {
        coefficients,
        residuals,
        rss,
        basis,
    })
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn subtract(target: &mut [f64], factor: f64, vector: &[f64]) {
    for (t, v) in target.iter_mut().zip(vector) {
        *t -= factor * v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_coefficient_is_held_at_zero() {
        let columns = [
            vec![1.0; 4],
            vec![1.0, 2.0, 3.0, 4.0],
            vec![0.0, 1.0, 0.0, 1.0],
        ];
        let y = [4.0, 3.0, 2.0, 1.0];
        let found = non_negative(&columns, &y);
        assert_eq!(found.coefficients[1], 0.0);
        assert!((found.coefficients[0] - 3.0).abs() < 1e-12 || found.coefficients[2] == 0.0);
        assert!(found.rss <= 5.0 + 1e-12);
    }
}
