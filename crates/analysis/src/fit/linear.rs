//! Least squares on a few columns, some of whose coefficients may not fall below 0.

/// Coefficients, residuals and their sum of squares.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(crate) coefficients: Vec<f64>,
    pub(crate) residuals: Vec<f64>,
    pub(crate) rss: f64,
    /// Orthonormal basis of the columns that take part, one after the other.
    basis: Vec<f64>,
}

impl Linear {
    /// Takes out of `vector` what the columns that take part can express.
    pub(crate) fn project_out(&self, vector: &mut [f64]) {
        for q in self.basis.chunks_exact(vector.len().max(1)) {
            subtract(vector, dot(q, vector), q);
        }
    }
}

/// Minimises |y - Σ xᵢ·columnᵢ|² with xᵢ ≥ 0 where `bounded`.
///
/// Tries sets of columns that may take part, those first that leave out what came out negative; the
/// problem is convex, so that the first set that meets the conditions of a minimum is it.
pub(crate) fn bounded(columns: &[Vec<f64>], bounded: &[bool], y: &[f64]) -> Linear {
    let every = (1_u32 << columns.len()) - 1;
    let mask = |wanted: &dyn Fn(usize) -> bool| -> u32 {
        (0..columns.len())
            .filter(|i| wanted(*i))
            .map(|i| 1 << i)
            .sum()
    };
    let negative = |s: &Linear| mask(&|i| bounded[i] && s.coefficients[i] < 0.0);
    let all = solve(columns, every, y);
    let first = all.as_ref().map_or(0, negative);
    if let Some(all) = all.filter(|_| first == 0) {
        return all;
    }
    let droppable = mask(&|i| bounded[i]);
    let mut sets: Vec<u32> = (0..every)
        .filter(|set| (every & !set) & !droppable == 0)
        .collect();
    sets.sort_by_key(|set| {
        let left_out = every & !set;
        (left_out.count_ones(), (left_out & !first).count_ones())
    });
    let mut best: Option<Linear> = None;
    for set in sets {
        let Some(found) = solve(columns, set, y).filter(|s| negative(s) == 0) else {
            continue;
        };
        if is_minimum(columns, every & !set, &found) {
            return found;
        }
        if best.as_ref().is_none_or(|best| found.rss < best.rss) {
            best = Some(found);
        }
    }
    best.unwrap_or_else(|| Linear {
        coefficients: vec![0.0; columns.len()],
        residuals: y.to_vec(),
        rss: dot(y, y),
        basis: Vec::new(),
    })
}

/// Whether none of the columns left out would lower the sum of squares with a coefficient above 0.
fn is_minimum(columns: &[Vec<f64>], left_out: u32, found: &Linear) -> bool {
    let outside = (0..columns.len()).filter(|i| left_out & (1 << i) != 0);
    outside
        .into_iter()
        .all(|i| dot(&columns[i], &found.residuals) <= 0.0)
}

/// QR by twice-repeated Gram-Schmidt on the columns in `set`; none if they are dependent.
fn solve(columns: &[Vec<f64>], set: u32, y: &[f64]) -> Option<Linear> {
    let (count, n) = (columns.len(), y.len().max(1));
    let taken = |place: &usize| set & (1 << place) != 0;
    let mut basis: Vec<f64> = Vec::with_capacity(count * n);
    // Row by row, by the places of the columns; the last column is that of the right-hand side.
    let width = count + 1;
    let mut r = vec![0.0; count * width];
    for place in (0..count).filter(taken) {
        let norm = dot(&columns[place], &columns[place]);
        let done = basis.len();
        basis.extend(&columns[place]);
        let (before, q) = basis.split_at_mut(done);
        for _ in 0..2 {
            for (earlier, b) in (0..count).filter(taken).zip(before.chunks_exact(n)) {
                let part = dot(b, q);
                r[earlier * width + place] += part;
                subtract(q, part, b);
            }
        }
        let left = dot(q, q);
        if left.is_nan() || left <= 1e-24 * norm {
            return None;
        }
        let length = libm::sqrt(left);
        r[place * width + place] = length;
        for v in q {
            *v /= length;
        }
    }
    let mut residuals = y.to_vec();
    for (place, b) in (0..count).filter(taken).zip(basis.chunks_exact(n)) {
        let part = dot(b, &residuals);
        r[place * width + count] = part;
        subtract(&mut residuals, part, b);
    }
    let mut coefficients = vec![0.0; count];
    for place in (0..count).rev().filter(taken) {
        let row = &r[place * width..(place + 1) * width];
        let above: f64 = (place + 1..count).map(|j| row[j] * coefficients[j]).sum();
        coefficients[place] = (row[count] - above) / row[place];
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

    fn columns() -> [Vec<f64>; 3] {
        [
            vec![1.0; 4],
            vec![1.0, 2.0, 3.0, 4.0],
            vec![0.0, 1.0, 0.0, 1.0],
        ]
    }

    #[test]
    fn a_negative_coefficient_is_held_at_zero_where_it_is_bounded() {
        let y = [4.0, 3.0, 2.0, 1.0];
        let found = bounded(&columns(), &[true; 3], &y);
        assert_eq!(found.coefficients[1], 0.0);
        assert!((found.coefficients[0] - 2.5).abs() < 1e-12 && found.coefficients[2] == 0.0);
        assert!((found.rss - 5.0).abs() < 1e-12);
        let free = bounded(&columns(), &[true, false, true], &y);
        assert!((free.coefficients[1] + 1.0).abs() < 1e-12 && free.rss < 1e-20);
    }

    #[test]
    fn dependent_columns_and_nan_give_no_coefficients() {
        let twice = [vec![1.0, 2.0], vec![2.0, 4.0]];
        let found = bounded(&twice, &[false; 2], &[1.0, 1.0]);
        assert_eq!(found.coefficients, [0.0, 0.0]);
        assert_eq!(
            bounded(&[vec![f64::NAN; 2]], &[false], &[1.0, 1.0]).rss,
            2.0
        );
    }
}
