//! The search for the exponents.

use super::linear::{Linear, dot, non_negative};

/// Bounds and effort of the search.
#[derive(Clone, Copy, Debug)]
pub struct FitOptions {
    /// Least and greatest α.
    pub alpha: (f64, f64),
    /// Least and greatest β.
    pub beta: (f64, f64),
    /// Starts along each exponent.
    pub starts: usize,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            alpha: (0.001, 3.0),
            beta: (0.001, 3.0),
            starts: 8,
        }
    }
}

/// A fitted law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LawFit {
    /// Irreducible ratio.
    pub a: f64,
    /// Amplitude of the size term.
    pub b: f64,
    /// Amplitude of the training term.
    pub c: f64,
    /// Exponent of the size term.
    pub alpha: f64,
    /// Exponent of the training term.
    pub beta: f64,
    /// Residual sum of squares.
    pub rss: f64,
}

impl LawFit {
    /// a + b·P^-α + c·S^-β.
    pub fn predict(&self, p: f64, s: f64) -> f64 {
        self.a + self.b * libm::pow(p, -self.alpha) + self.c * libm::pow(s, -self.beta)
    }
}

/// Data with P and S divided by their geometric means, so that powers stay near 1.
struct Problem {
    log_p: Vec<f64>,
    log_s: Vec<f64>,
    p0: f64,
    s0: f64,
    y: Vec<f64>,
    ones: Vec<f64>,
}

/// Fits the law by least squares with a, b, c ≥ 0, from a grid of starts and from `near`.
///
/// All slices have the same length; values are finite, P and S above 0: the caller checks it.
pub fn fit_law(
    p: &[f64],
    s: &[f64],
    y: &[f64],
    options: &FitOptions,
    near: Option<(f64, f64)>,
) -> LawFit {
    let problem = Problem::new(p, s, y);
    let mut starts: Vec<(f64, (f64, f64))> = grid(options)
        .into_iter()
        .map(|point| (problem.linear(point).rss, point))
        .collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    starts.truncate(if near.is_some() { 1 } else { 6 });
    let points = near
        .into_iter()
        .chain(starts.into_iter().map(|(_, point)| point));
    let found = points.map(|start| problem.descend(start, options));
    let (point, linear) = found
        .min_by(|a, b| a.1.rss.total_cmp(&b.1.rss))
        .unwrap_or_else(|| {
            let corner = (options.alpha.0, options.beta.0);
            (corner, problem.linear(corner))
        });
    problem.law(point, &linear)
}

fn grid(options: &FitOptions) -> Vec<(f64, f64)> {
    let axis = |(lo, hi): (f64, f64)| -> Vec<f64> {
        let n = options.starts.max(2);
        let step = libm::log(hi / lo) / (n - 1) as f64;
        (0..n)
            .map(|i| (lo * libm::exp(step * i as f64)).clamp(lo, hi))
            .collect()
    };
    let betas = axis(options.beta);
    let alphas = axis(options.alpha).into_iter();
    alphas
        .flat_map(|alpha| betas.iter().map(move |beta| (alpha, *beta)))
        .collect()
}

impl Problem {
    fn new(p: &[f64], s: &[f64], y: &[f64]) -> Self {
        let centred = |values: &[f64]| {
            let logs: Vec<f64> = values.iter().map(|v| libm::log(*v)).collect();
            let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
            (logs.iter().map(|l| l - mean).collect::<Vec<f64>>(), mean)
        };
        let ((log_p, p0), (log_s, s0)) = (centred(p), centred(s));
        Self {
            log_p,
            log_s,
            p0,
            s0,
            y: y.to_vec(),
            ones: vec![1.0; y.len()],
        }
    }

    fn columns(&self, (alpha, beta): (f64, f64)) -> [Vec<f64>; 3] {
        let power = |logs: &[f64], exponent: f64| {
            logs.iter()
                .map(|l| libm::exp(-exponent * l))
                .collect::<Vec<f64>>()
        };
        [
            self.ones.clone(),
            power(&self.log_p, alpha),
            power(&self.log_s, beta),
        ]
    }

    fn linear(&self, point: (f64, f64)) -> Linear {
        non_negative(&self.columns(point), &self.y)
    }

    /// Levenberg-Marquardt on the variable projection (Kaufman's Jacobian), within the bounds.
    fn descend(&self, start: (f64, f64), options: &FitOptions) -> ((f64, f64), Linear) {
        let mut point = start;
        let mut linear = self.linear(point);
        let mut damping = 1e-3;
        for _ in 0..200 {
            let (gradient, hessian) = self.slope(point, &linear);
            let step = damped_step(gradient, hessian, damping, point, options);
            let next = (
                (point.0 + step.0).clamp(options.alpha.0, options.alpha.1),
                (point.1 + step.1).clamp(options.beta.0, options.beta.1),
            );
            let moved = (next.0 - point.0).abs() + (next.1 - point.1).abs();
            let candidate = self.linear(next);
            if candidate.rss <= linear.rss {
                (point, linear) = (next, candidate);
                damping = (damping * 0.2).max(1e-15);
            } else {
                damping *= 5.0;
            }
            if moved < 1e-14 || damping > 1e12 {
                break;
            }
        }
        (point, linear)
    }

    /// Gradient and approximate Hessian of half the residual sum of squares over (α, β).
    fn slope(&self, point: (f64, f64), linear: &Linear) -> ([f64; 2], [[f64; 2]; 2]) {
        let [_, x, z] = self.columns(point);
        let [_, b, c] = linear.coefficients;
        // ∂r/∂α = b·x·ln p, since r = y - … - b·p^-α.
        let derivative = |factor: f64, column: &[f64], logs: &[f64]| {
            let mut d: Vec<f64> = column
                .iter()
                .zip(logs)
                .map(|(v, l)| factor * v * l)
                .collect();
            linear.project_out(&mut d);
            d
        };
        let da = derivative(b, &x, &self.log_p);
        let db = derivative(c, &z, &self.log_s);
        let r = &linear.residuals;
        let mixed = dot(&da, &db);
        (
            [dot(&da, r), dot(&db, r)],
            [[dot(&da, &da), mixed], [mixed, dot(&db, &db)]],
        )
    }

    fn law(&self, (alpha, beta): (f64, f64), linear: &Linear) -> LawFit {
        let [a, b, c] = linear.coefficients;
        LawFit {
            a,
            b: b * libm::exp(alpha * self.p0),
            c: c * libm::exp(beta * self.s0),
            alpha,
            beta,
            rss: linear.rss,
        }
    }
}

/// Solves (H + λ·diag H)·step = -gradient; an exponent that pushes against its bound stays there.
fn damped_step(
    gradient: [f64; 2],
    hessian: [[f64; 2]; 2],
    damping: f64,
    point: (f64, f64),
    options: &FitOptions,
) -> (f64, f64) {
    let held = |value: f64, slope: f64, (lo, hi): (f64, f64)| {
        (value <= lo && slope > 0.0) || (value >= hi && slope < 0.0)
    };
    let hold = [
        held(point.0, gradient[0], options.alpha),
        held(point.1, gradient[1], options.beta),
    ];
    let diagonal = |i: usize| hessian[i][i] * (1.0 + damping) + 1e-300;
    let single = |i: usize| {
        if hold[i] {
            0.0
        } else {
            -gradient[i] / diagonal(i)
        }
    };
    if hold[0] || hold[1] {
        return (single(0), single(1));
    }
    let (h00, h11, h01) = (diagonal(0), diagonal(1), hessian[0][1]);
    let determinant = h00 * h11 - h01 * h01;
    if determinant <= 0.0 {
        return (single(0), single(1));
    }
    (
        (-gradient[0] * h11 + gradient[1] * h01) / determinant,
        (-gradient[1] * h00 + gradient[0] * h01) / determinant,
    )
}
