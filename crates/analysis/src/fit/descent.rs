//! One step of Levenberg-Marquardt within bounds.

/// Where a search stands, in its own coordinates.
pub(super) struct Place<'s> {
    pub(super) at: &'s [f64],
    pub(super) bounds: &'s [(f64, f64)],
    /// Gradient of half the objective.
    pub(super) gradient: &'s [f64],
    /// `JᵀJ`, row by row.
    pub(super) hessian: &'s [f64],
}

impl Place<'_> {
    /// The damped step; a coordinate at its bound that would leave it is held.
    pub(super) fn step(&self, damping: f64) -> Vec<f64> {
        let n = self.at.len();
        let held = |i: &usize| {
            let (least, greatest) = self.bounds[*i];
            (self.at[*i] <= least && self.gradient[*i] > 0.0)
                || (self.at[*i] >= greatest && self.gradient[*i] < 0.0)
        };
        let free: Vec<usize> = (0..n).filter(|i| !held(i)).collect();
        let mut step = vec![0.0; n];
        let diagonal = |i: usize| self.hessian[i * n + i].max(1e-300);
        // In units of each coordinate's own curvature the matrix has ones on its diagonal.
        let scale: Vec<f64> = free.iter().map(|i| libm::sqrt(diagonal(*i))).collect();
        let k = free.len();
        let mut matrix = vec![0.0; k * k];
        for a in 0..k {
            for b in 0..k {
                let value = self.hessian[free[a] * n + free[b]] / (scale[a] * scale[b]);
                matrix[a * k + b] = if a == b { 1.0 + damping } else { value };
            }
        }
        let rhs: Vec<f64> = (0..k).map(|a| -self.gradient[free[a]] / scale[a]).collect();
        let solved = cholesky_solve(&mut matrix, &rhs).unwrap_or(rhs);
        for a in 0..k {
            step[free[a]] = solved[a] / scale[a];
        }
        step
    }
}

/// Solves a symmetric positive definite system; none if it is not one.
pub(super) fn cholesky_solve(matrix: &mut [f64], rhs: &[f64]) -> Option<Vec<f64>> {
    let n = rhs.len();
    for j in 0..n {
        for i in j..n {
            let inner: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
            let value = matrix[i * n + j] - inner;
            if i > j {
                matrix[i * n + j] = value / matrix[j * n + j];
            } else if value > 0.0 {
                matrix[j * n + j] = libm::sqrt(value);
            } else {
                return None;
            }
        }
    }
    let mut x = rhs.to_vec();
    for i in 0..n {
        let inner: f64 = (0..i).map(|k| matrix[i * n + k] * x[k]).sum();
        x[i] = (x[i] - inner) / matrix[i * n + i];
    }
    for i in (0..n).rev() {
        let inner: f64 = (i + 1..n).map(|k| matrix[k * n + i] * x[k]).sum();
        x[i] = (x[i] - inner) / matrix[i * n + i];
    }
    Some(x)
}
