//! The search: starts, and Levenberg-Marquardt from each of them.

use super::super::axis::{Axis, middle, per_axis, spaced};
use super::super::descent::Place;
use super::super::linear::dot;
use super::super::method::Loss;
use super::{Found, Problem, State};

impl Problem<'_> {
    /// The global minimum as far as the starts reach: from `near` and the best start of the grid, or
    /// from the best six.
    pub(crate) fn solve(&mut self, near: Option<&[f64]>) -> Found {
        let keep = match (near.is_some(), self.law.linear.is_empty()) {
            (true, _) => 1,
            (false, false) => 6,
            // Without linear parameters a grid is coarse.
            (false, true) => 40,
        };
        let grid = std::mem::take(&mut self.grid);
        let mut starts: Vec<Found> = grid.iter().map(|start| self.begin(start).found).collect();
        self.grid = grid;
        starts.sort_by(|a, b| a.objective.total_cmp(&b.objective));
        starts.truncate(keep);
        let near = near.map(<[f64]>::to_vec);
        let starts = near
            .into_iter()
            .chain(starts.into_iter().map(|f| f.parameters));
        let found: Vec<Found> = starts.map(|start| self.descend(&start)).collect();
        let best = found
            .into_iter()
            .min_by(|a, b| a.objective.total_cmp(&b.objective));
        best.unwrap_or_else(|| Found {
            parameters: vec![f64::NAN; self.law.parameters.len()],
            objective: f64::INFINITY,
        })
    }

    /// A grid over the parameters that are not linear, as full parameter vectors; the user's start
    /// in front.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        let ranges = &self.law.parameters;
        let axes: Vec<usize> = (0..ranges.len())
            .filter(|i| self.fixed[*i].is_none() && !self.law.linear.contains(i))
            .collect();
        let start = |i: usize| {
            ranges[i]
                .start
                .unwrap_or_else(|| middle(ranges[i].min, ranges[i].max))
        };
        let base: Vec<f64> = (0..ranges.len())
            .map(|i| self.fixed[i].unwrap_or_else(|| start(i)))
            .collect();
        let n = per_axis(self.method.starts, axes.len());
        let mut grid = vec![base];
        let written = ranges
            .iter()
            .any(|r| r.start.is_some())
            .then(|| grid[0].clone());
        for axis in axes {
            let values = spaced(ranges[axis].min, ranges[axis].max, n);
            grid = grid
                .iter()
                .flat_map(|point| {
                    values.iter().map(|value| {
                        let mut point = point.clone();
                        point[axis] = *value;
                        point
                    })
                })
                .collect();
        }
        written.into_iter().chain(grid).collect()
    }

    /// Levenberg-Marquardt: on the variable projection (Kaufman's Jacobian) where the linear
    /// parameters follow from the others, on all parameters otherwise. Positive ranges are
    /// searched in their logarithm.
    fn descend(&mut self, start: &[f64]) -> Found {
        let mut state = self.begin_near(start);
        let searched = self.searched.clone();
        let axes: Vec<Axis> = searched.iter().map(|i| Axis::of(self.law, *i)).collect();
        let bounds: Vec<(f64, f64)> = axes.iter().map(|a| (a.to(a.min), a.to(a.max))).collect();
        let mut damping = 1e-3;
        let mut slope = None;
        for _ in 0..400 {
            let at: Vec<f64> = searched
                .iter()
                .zip(&axes)
                .map(|(i, axis)| axis.to(state.found.parameters[*i]))
                .collect();
            let (gradient, hessian) = slope.get_or_insert_with(|| self.slope(&state, &axes));
            let place = Place {
                at: &at,
                bounds: &bounds,
                gradient,
                hessian,
            };
            let step = place.step(damping);
            let mut next = state.found.parameters.clone();
            let mut moved = 0.0_f64;
            for (k, i) in searched.iter().enumerate() {
                let to = (at[k] + step[k]).clamp(bounds[k].0, bounds[k].1);
                moved = moved.max((to - at[k]).abs() / (1.0 + at[k].abs()));
                next[*i] = axes[k].from(to);
            }
            let candidate = self.state(&next);
            let gain = state.found.objective - candidate.found.objective;
            let settled = gain <= self.method.tolerance * 1e-4 * state.found.objective;
            if gain >= 0.0 {
                state = candidate;
                slope = None;
                damping = (damping * 0.2).max(1e-15);
            } else {
                damping *= 5.0;
            }
            if moved < self.method.tolerance || (settled && gain > 0.0) || damping > 1e12 {
                break;
            }
        }
        state.found
    }

    /// A start keeps its linear parameters where they are searched for.
    fn begin_near(&mut self, start: &[f64]) -> State {
        let mut start = start.to_vec();
        for (value, fixed) in start.iter_mut().zip(&self.fixed) {
            *value = fixed.unwrap_or(*value);
        }
        self.state(&start)
    }

    /// Gradient of half the objective and `JᵀJ`, in the coordinates of the search.
    fn slope(&mut self, state: &State, axes: &[Axis]) -> (Vec<f64>, Vec<f64>) {
        let searched = self.searched.clone();
        let parameters = &state.found.parameters;
        let mut columns = self.jacobian(parameters, &searched);
        for ((column, axis), i) in columns.iter_mut().zip(axes).zip(&searched) {
            let factor = axis.stretch(parameters[*i]);
            for value in column.iter_mut() {
                *value *= factor;
            }
            if let Some(projection) = &state.projection {
                projection.project_out(column);
            }
        }
        let projected = state.projection.as_ref().map(|p| &p.residuals);
        let mut residuals = projected.unwrap_or(&state.residuals).clone();
        if let Loss::Huber(delta) = self.method.loss {
            for (i, residual) in residuals.iter_mut().enumerate() {
                let root = self.roots[i];
                let pull = libm::sqrt((delta * root / residual.abs()).min(1.0));
                let pull = if pull.is_finite() { pull } else { 1.0 };
                *residual *= pull;
                for column in &mut columns {
                    column[i] *= pull;
                }
            }
        }
        let gradient = columns.iter().map(|c| -dot(c, &residuals)).collect();
        let pairs = columns
            .iter()
            .flat_map(|a| columns.iter().map(move |b| dot(a, b)));
        (gradient, pairs.collect())
    }
}
