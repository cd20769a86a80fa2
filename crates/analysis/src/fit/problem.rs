//! A law and the data that it is fitted to: what the search asks for.

mod search;

use super::linear::{Linear, bounded};
use super::method::{Loss, Method, Space};
use crate::laws::{Evaluator, Law};

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
    /// By linear parameter: whether it may not fall below 0, and room for its column.
    limits: Vec<bool>,
    columns: Vec<Vec<f64>>,
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
        let mut problem = Self {
            law,
            method,
            evaluator: Evaluator::new(&law.program, p, s, points.tokens_per_step),
            y: y.iter().map(|y| method.space.enter(*y)).collect(),
            counts: vec![1.0; y.len()],
            roots: vec![1.0; y.len()],
            fixed: vec![None; law.parameters.len()],
            linear: Vec::new(),
            searched: Vec::new(),
            limits: Vec::new(),
            columns: Vec::new(),
            grid: Vec::new(),
        };
        problem.hold(None);
        problem
    }

    /// Other ratios for the same cells.
    pub(crate) fn set_ratios(&mut self, ratios: &[f64]) {
        for (y, ratio) in self.y.iter_mut().zip(ratios) {
            *y = self.method.space.enter(*ratio);
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
        let is_bounded = |i: &usize| law.parameters[*i].min == 0.0;
        self.limits = self.linear.iter().map(is_bounded).collect();
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

    /// A state with the linear parameters put where plain linear least squares has them.
    fn begin(&mut self, start: &[f64]) -> State {
        if self.projects() {
            return self.state(start);
        }
        let mut parameters = start.to_vec();
        let ratios = self.ratios();
        self.project(&mut parameters, &ratios);
        self.state(&parameters)
    }

    /// Puts the linear parameters where they leave the least squares.
    fn project(&mut self, parameters: &mut [f64], ratios: &[f64]) -> Linear {
        for place in &self.linear {
            parameters[*place] = 0.0;
        }
        self.evaluator.evaluate(parameters);
        let mut target = vec![0.0; ratios.len()];
        self.evaluator.value(&mut target);
        for ((value, ratio), root) in target.iter_mut().zip(ratios).zip(&self.roots) {
            *value = (ratio - *value) * root;
        }
        let mut columns = std::mem::take(&mut self.columns);
        columns.resize_with(self.linear.len(), || vec![0.0; ratios.len()]);
        for (column, place) in columns.iter_mut().zip(&self.linear) {
            self.fill(*place, column);
        }
        let found = bounded(&columns, &self.limits, &target);
        self.columns = columns;
        for (place, value) in self.linear.iter().zip(&found.coefficients) {
            parameters[*place] = *value;
        }
        found
    }

    /// The derivative by a parameter, times the roots of the counts.
    fn column(&self, place: usize) -> Vec<f64> {
        let mut column = vec![0.0; self.counts.len()];
        self.fill(place, &mut column);
        column
    }

    fn fill(&self, place: usize, column: &mut [f64]) {
        self.evaluator.derivative(place, column);
        for (value, root) in column.iter_mut().zip(&self.roots) {
            *value *= root;
        }
    }

    fn state(&mut self, start: &[f64]) -> State {
        let mut parameters = start.to_vec();
        if self.projects() {
            let ratios = std::mem::take(&mut self.y);
            let projection = self.project(&mut parameters, &ratios);
            self.y = ratios;
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
            let value = self.method.space.enter(*r);
            if self.counts[i] == 0.0 {
                *r = 0.0;
                continue;
            }
            let residual = self.y[i] - value;
            objective += self.counts[i] * self.method.loss.of(residual);
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

    fn ratios(&self) -> Vec<f64> {
        let space = self.method.space;
        self.y.iter().map(|y| space.leave(*y)).collect()
    }

    /// R² and the root mean square error over the cells as they count, in ratios whatever the space.
    pub(crate) fn explained(&mut self, parameters: &[f64]) -> (f64, f64) {
        let values = self.values(parameters);
        let ratios = self.ratios();
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
}

/// What is no number is worse than anything.
fn finite(objective: f64) -> f64 {
    if objective.is_nan() {
        f64::INFINITY
    } else {
        objective
    }
}
