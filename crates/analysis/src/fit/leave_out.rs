//! How well a law predicts cells that it was not fitted to.

use super::problem::{Found, Points, Problem};
use super::statistics::{Spread, spread};

/// Root mean square error of predicting each size from all others; none where the others do not
/// determine the law.
pub(super) fn size_by_size(
    problem: &mut Problem<'_>,
    points: &Points,
    best: &Found,
) -> Option<f64> {
    let mut sizes = points.p.clone();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let errors = sizes.iter().map(|size| {
        let out: Vec<bool> = points.p.iter().map(|p| p == size).collect();
        errors(problem, points, best, &out)
    });
    let errors: Option<Vec<Vec<f64>>> = errors.collect();
    Some(root_mean_square(&errors?.concat()))
}

/// Root mean square error of predicting the last step from all earlier ones.
pub(super) fn last_step(problem: &mut Problem<'_>, points: &Points, best: &Found) -> Option<f64> {
    let last = points.s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let out: Vec<bool> = points.s.iter().map(|s| *s == last).collect();
    Some(root_mean_square(&errors(problem, points, best, &out)?))
}

/// Errors at the cells that are `out` of the fit to the others.
fn errors(
    problem: &mut Problem<'_>,
    points: &Points,
    best: &Found,
    out: &[bool],
) -> Option<Vec<f64>> {
    let counts: Vec<f64> = out.iter().map(|out| f64::from(u8::from(!out))).collect();
    problem.set_counts(&counts);
    let found = problem.solve(Some(&best.parameters));
    let (_, columns) = problem.free_jacobian(&found.parameters);
    let left = counts.iter().sum::<f64>() as usize;
    let known = left > columns.len() && matches!(spread(&columns, 1.0), Spread::Covariance(_));
    let values = problem.values(&found.parameters);
    problem.set_counts(&vec![1.0; out.len()]);
    let error = |i: usize| points.y[i] - values[i];
    known.then(|| (0..out.len()).filter(|i| out[*i]).map(error).collect())
}

pub(super) fn root_mean_square(errors: &[f64]) -> f64 {
    let squares: f64 = errors.iter().map(|e| e * e).sum();
    libm::sqrt(squares / errors.len() as f64)
}
