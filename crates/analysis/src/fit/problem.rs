//! A law and the data that it is fitted to: what the search asks for.

use serde::{Deserialize, Serialize};

use super::descent::Place;
use super::linear::{Linear, bounded, dot};
use crate::laws::{Evaluator, Law};

/// What is minimised over the residuals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Σ r².
    #[default]
    Squares,
    /// Σ r² up to δ and 2δ|r| - δ² beyond, so that outliers pull no harder than at δ.
    Huber(f64),
}

/// In which space residuals are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Ratio - law.
    #[default]
    Linear,
    /// ln ratio - ln law.
    Log,
}

/// How a law is fitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    pub(crate) loss: Loss,
    pub(crate) space: Space,
    /// Starts along each of two exponents; the grid over more parameters is coarser.
    pub(crate) starts: usize,
    /// Steps shorter than this end a search.
    pub(crate) tolerance: f64,
}

/// The points of a fit, by cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    pub(crate) p: Vec<f64>,
    pub(crate) s: Vec<f64>,
    pub(crate) y: Vec<f64>,
    /// Tokens per training step; NaN where not known.
    pub(crate) tokens_per_step: f64,
}

/// Parameters and what they leave unexplained.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) parameters: Vec<f64>,
    pub(crate) objective: f64,
}

/// A law, its data, weights, and parameters that are held.
pub(crate) struct Problem<'l> {
    law: &'l Law,
    method: Method,
    evaluator: Evaluator,
    /// Ratios, or their logarithms.
    y: Vec<f64>,
    /// How often each cell counts.
    counts: Vec<f64>,
    roots: Vec<f64>,
    fixed: Vec<Option<f64>>,
    /// Places of the linear and of the searched parameters that are not held.
    linear: Vec<usize>,
    searched: Vec<usize>,
    /// Starts, as full parameter vectors.
    grid: Vec<Vec<f64>>,
}

/// Where a search stands.
struct State {
    found: Found,
    /// Residuals times the roots of the counts, where there is no projection that has them.
    residuals: Vec<f64>,
    projection: Option<Linear>,
}

impl<'l> Problem<'l> {
    pub(crate) fn new(law: &'l Law, points: &Points, method: Method) -> Self {
        let Points { p, s, y, .. } = points;
        let target = |y: &f64| match method.space {
            Space::Linear => *y,
            Space::Log => libm::log(*y),
        };
        let mut problem = Self {
            law,
            method,
            evaluator: Evaluator::new(&law.program, p, s, points.tokens_per_step),
            y: y.iter().map(target).collect(),
            counts: vec![1.0; y.len()],
            roots: vec![1.0; y.len()],
            fixed: vec![None; law.parameters.len()],
            linear: Vec::new(),
            searched: Vec::new(),
            grid: Vec::new(),
        };
        problem.hold(None);
        problem
    }

    /// Other ratios for the same cells.
    pub(crate) fn set_ratios(&mut self, ratios: &[f64]) {
        let space = self.method.space;
        for (y, ratio) in self.y.iter_mut().zip(ratios) {
            *y = match space {
                Space::Linear => *ratio,
                Space::Log => libm::log(*ratio),
            };
        }
    }

    /// How often each cell counts; 0 leaves it out.
    pub(crate) fn set_counts(&mut self, counts: &[f64]) {
        self.counts.copy_from_slice(counts);
        for (root, count) in self.roots.iter_mut().zip(counts) {
            *root = libm::sqrt(*count);
        }
    }

    /// Holds one parameter at a value, or none.
    pub(crate) fn hold(&mut self, held: Option<(usize, f64)>) {
        self.fixed.fill(None);
        if let Some((place, value)) = held {
            self.fixed[place] = Some(value);
        }
        let free = |i: &usize| self.fixed[*i].is_none();
        let law = self.law;
        self.linear = law.linear.iter().copied().filter(free).collect();
        let all = (0..law.parameters.len()).filter(free);
        self.searched = all
            .filter(|i| !self.projects() || !law.linear.contains(i))
            .collect();
        self.grid = self.starts();
    }

    /// Whether the linear parameters follow from the others by linear least squares.
    fn projects(&self) -> bool {
        matches!(
            self.method,
            Method {
                loss: Loss::Squares,
                space: Space::Linear,
                ..
            }
        )
    }

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
    fn starts(&self) -> Vec<Vec<f64>> {
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

    /// A state with the linear parameters put where plain linear least squares has them.
    fn begin(&mut self, start: &[f64]) -> State {
        if self.projects() {
            return self.state(start);
        }
        let mut parameters = start.to_vec();
        if self.method.space == Space::Linear {
            self.project(&mut parameters, None);
        } else {
            let ratios: Vec<f64> = self.y.iter().map(|y| libm::exp(*y)).collect();
            self.project(&mut parameters, Some(&ratios));
        }
        self.state(&parameters)
    }

    /// Puts the linear parameters where they leave the least squares.
    fn project(&mut self, parameters: &mut [f64], ratios: Option<&[f64]>) -> Linear {
        for place in &self.linear {
            parameters[*place] = 0.0;
        }
        self.evaluator.evaluate(parameters);
        let mut target = vec![0.0; self.y.len()];
        self.evaluator.value(&mut target);
        let ratios = ratios.unwrap_or(&self.y);
        for ((value, y), root) in target.iter_mut().zip(ratios).zip(&self.roots) {
            *value = (y - *value) * root;
        }
        let columns: Vec<Vec<f64>> = self.linear.iter().map(|i| self.column(*i)).collect();
        let is_bounded = |i: &usize| self.law.parameters[*i].min == 0.0;
        let limits: Vec<bool> = self.linear.iter().map(is_bounded).collect();
        let found = bounded(&columns, &limits, &target);
        for (place, value) in self.linear.iter().zip(&found.coefficients) {
            parameters[*place] = *value;
        }
        found
    }

    /// The derivative by a parameter, times the roots of the counts.
    fn column(&self, place: usize) -> Vec<f64> {
        let mut column = vec![0.0; self.y.len()];
        self.evaluator.derivative(place, &mut column);
        for (value, root) in column.iter_mut().zip(&self.roots) {
            *value *= root;
        }
        column
    }

    fn state(&mut self, start: &[f64]) -> State {
        let mut parameters = start.to_vec();
        if self.projects() {
            let projection = self.project(&mut parameters, None);
            let objective = finite(projection.rss);
            return State {
                found: Found {
                    parameters,
                    objective,
                },
                residuals: Vec::new(),
                projection: Some(projection),
            };
        }
        self.evaluator.evaluate(&parameters);
        let mut residuals = vec![0.0; self.y.len()];
        self.evaluator.value(&mut residuals);
        let mut objective = 0.0;
        for (i, r) in residuals.iter_mut().enumerate() {
            let value = match self.method.space {
                Space::Linear => *r,
                Space::Log => libm::log(*r),
            };
            if self.counts[i] == 0.0 {
                *r = 0.0;
                continue;
            }
            let residual = self.y[i] - value;
            objective += self.counts[i] * loss(self.method.loss, residual);
            *r = residual * self.roots[i];
        }
        let objective = finite(objective);
        State {
            found: Found {
                parameters,
                objective,
            },
            residuals,
            projection: None,
        }
    }

    /// Columns of ∂(law or its logarithm)/∂parameter times roots, for the given places, at `state`.
    pub(crate) fn jacobian(&mut self, parameters: &[f64], places: &[usize]) -> Vec<Vec<f64>> {
        self.evaluator.evaluate(parameters);
        let mut columns: Vec<Vec<f64>> = places.iter().map(|i| self.column(*i)).collect();
        if self.method.space == Space::Log {
            let mut value = vec![0.0; self.y.len()];
            self.evaluator.value(&mut value);
            for column in &mut columns {
                for (slope, value) in column.iter_mut().zip(&value) {
                    *slope /= value;
                }
            }
        }
        columns
    }

    /// Jacobian of the parameters that are free and off their bounds, with their places.
    pub(crate) fn free_jacobian(&mut self, parameters: &[f64]) -> (Vec<usize>, Vec<Vec<f64>>) {
        let inside = |i: &usize| {
            let range = &self.law.parameters[*i];
            self.fixed[*i].is_none() && parameters[*i] > range.min && parameters[*i] < range.max
        };
        let places: Vec<usize> = (0..parameters.len()).filter(inside).collect();
        let columns = self.jacobian(parameters, &places);
        (places, columns)
    }

    /// The law at every cell, counted or not.
    pub(crate) fn values(&mut self, parameters: &[f64]) -> Vec<f64> {
        self.evaluator.evaluate(parameters);
        let mut values = vec![0.0; self.y.len()];
        self.evaluator.value(&mut values);
        values
    }

    /// R² and the root mean square error over the cells as they count, in ratios whatever the space.
    pub(crate) fn explained(&mut self, parameters: &[f64]) -> (f64, f64) {
        let values = self.values(parameters);
        let ratio = |y: &f64| match self.method.space {
            Space::Linear => *y,
            Space::Log => libm::exp(*y),
        };
        let ratios: Vec<f64> = self.y.iter().map(ratio).collect();
        let sum = |part: &dyn Fn(usize) -> f64| -> f64 {
            let counted = self.counts.iter().enumerate();
            counted.map(|(i, count)| count * part(i)).sum()
        };
        let n = sum(&|_| 1.0);
        let mean = sum(&|i| ratios[i]) / n;
        let rss = sum(&|i| (ratios[i] - values[i]) * (ratios[i] - values[i]));
        let tss = sum(&|i| (ratios[i] - mean) * (ratios[i] - mean));
        (1.0 - rss / tss, libm::sqrt(rss / n))
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

/// A parameter's range and whether it is searched in its logarithm.
struct Axis {
    min: f64,
    max: f64,
}

impl Axis {
    fn of(law: &Law, place: usize) -> Self {
        let range = &law.parameters[place];
        Self {
            min: range.min,
            max: range.max,
        }
    }

    fn logarithmic(&self) -> bool {
        self.min > 0.0
    }

    fn to(&self, value: f64) -> f64 {
        if self.logarithmic() {
            libm::log(value)
        } else {
            value
        }
    }

    /// Exactly the bound at the bound.
    fn from(&self, at: f64) -> f64 {
        if !self.logarithmic() {
            at
        } else if at <= self.to(self.min) {
            self.min
        } else if at >= self.to(self.max) {
            self.max
        } else {
            libm::exp(at).clamp(self.min, self.max)
        }
    }

    /// ∂value/∂coordinate.
    fn stretch(&self, value: f64) -> f64 {
        if self.logarithmic() { value } else { 1.0 }
    }
}

fn loss(loss: Loss, residual: f64) -> f64 {
    match loss {
        Loss::Huber(delta) if residual.abs() > delta => delta * (2.0 * residual.abs() - delta),
        _ => residual * residual,
    }
}

/// What is no number is worse than anything.
fn finite(objective: f64) -> f64 {
    if objective.is_nan() {
        f64::INFINITY
    } else {
        objective
    }
}

/// Grid points along each axis.
fn per_axis(starts: usize, axes: usize) -> usize {
    match axes {
        0..=2 => starts.max(2),
        3 => starts.div_ceil(2).max(2),
        4 => (starts * 5).div_ceil(8).max(3),
        _ => 2,
    }
}

fn middle(min: f64, max: f64) -> f64 {
    match (min.is_finite(), max.is_finite()) {
        (true, true) => spaced(min, max, 3)[1],
        (true, false) => min,
        _ => 0.0,
    }
}

/// `n` values from `min` to `max`, by equal factors where both are positive.
fn spaced(min: f64, max: f64, n: usize) -> Vec<f64> {
    let part = |i: usize| i as f64 / (n - 1) as f64;
    let value = |i: usize| {
        if min > 0.0 {
            (min * libm::exp(part(i) * libm::log(max / min))).clamp(min, max)
        } else {
            min + part(i) * (max - min)
        }
    };
    (0..n).map(value).collect()
}
