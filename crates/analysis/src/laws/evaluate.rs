use super::compile::{Domain, Program, Step};

/// Evaluates a compiled law at the cells of a study, with derivatives by every parameter.
///
/// Forward automatic differentiation: a step carries, for each parameter that it depends on, its
/// derivative. Steps without parameters are computed once.
pub(crate) struct Evaluator {
    program: Program,
    cells: Cells,
    values: Vec<Vec<f64>>,
    /// By step, in the order of its `parameters`.
    derivatives: Vec<Vec<Vec<f64>>>,
}

/// The distinct sizes and steps, and which of them each cell has.
struct Cells {
    sizes: Vec<f64>,
    steps: Vec<f64>,
    tokens_per_step: f64,
    size_of: Vec<usize>,
    step_of: Vec<usize>,
}

impl Evaluator {
    /// `p` and `s` by cell; `tokens_per_step` is NaN where it is not known.
    pub(crate) fn new(program: &Program, p: &[f64], s: &[f64], tokens_per_step: f64) -> Self {
        let (sizes, size_of) = levels(p);
        let (steps, step_of) = levels(s);
        let cells = Cells {
            sizes,
            steps,
            tokens_per_step,
            size_of,
            step_of,
        };
        let length = |domain: Domain| match domain {
            Domain::One => 1,
            Domain::Sizes => cells.sizes.len(),
            Domain::Steps => cells.steps.len(),
            Domain::Cells => cells.size_of.len(),
        };
        let zeros = |domain: Domain| vec![0.0; length(domain)];
        let steps = &program.steps;
        let values = steps.iter().map(|s| zeros(s.domain)).collect();
        let derivatives = steps
            .iter()
            .map(|s| s.parameters.iter().map(|_| zeros(s.domain)).collect())
            .collect();
        let mut evaluator = Self {
            program: program.clone(),
            cells,
            values,
            derivatives,
        };
        evaluator.run(&[], <[usize]>::is_empty);
        evaluator
    }

    /// Computes values and derivatives at `parameters`.
    pub(crate) fn evaluate(&mut self, parameters: &[f64]) {
        self.run(parameters, |of| !of.is_empty());
    }

    /// The law's value at every cell.
    pub(crate) fn value(&self, out: &mut [f64]) {
        let last = self.values.len() - 1;
        self.spread(last, &self.values[last], out);
    }

    /// The law's derivative by parameter `place` at every cell.
    pub(crate) fn derivative(&self, place: usize, out: &mut [f64]) {
        let last = self.values.len() - 1;
        let of = &self.program.steps[last].parameters;
        match of.iter().position(|p| *p == place) {
            Some(i) => self.spread(last, &self.derivatives[last][i], out),
            None => out.fill(0.0),
        }
    }

    fn spread(&self, step: usize, values: &[f64], out: &mut [f64]) {
        let domain = self.program.steps[step].domain;
        for (i, target) in out.iter_mut().enumerate() {
            *target = values[self.cells.place(domain, Domain::Cells, i)];
        }
    }

    fn run(&mut self, parameters: &[f64], wanted: impl Fn(&[usize]) -> bool) {
        for place in 0..self.program.steps.len() {
            if wanted(&self.program.steps[place].parameters) {
                self.step(place, parameters);
            }
        }
    }

    fn step(&mut self, place: usize, parameters: &[f64]) {
        let compiled = &self.program.steps[place];
        let (values, later) = self.values.split_at_mut(place);
        let (derivatives, later_derivatives) = self.derivatives.split_at_mut(place);
        let out = &mut later[0];
        let slopes = &mut later_derivatives[0];
        let domain = compiled.domain;
        match compiled.step {
            Step::Number(value) => out[0] = value,
            Step::Size => out.copy_from_slice(&self.cells.sizes),
            Step::Training => out.copy_from_slice(&self.cells.steps),
            Step::Tokens => {
                for (target, step) in out.iter_mut().zip(&self.cells.steps) {
                    *target = step * self.cells.tokens_per_step;
                }
            }
            Step::Parameter(which) => {
                out[0] = parameters[which];
                slopes[0][0] = 1.0;
            }
            Step::Exp(a) | Step::Log(a) | Step::Power(a, _) => {
                // One operand of the same domain, with the same parameters.
                for i in 0..out.len() {
                    let x = values[a][i];
                    let (value, slope) = function(compiled.step, x);
                    out[i] = value;
                    for (target, inner) in slopes.iter_mut().zip(&derivatives[a]) {
                        target[i] = slope * inner[i];
                    }
                }
            }
            Step::Add(a, b) | Step::Subtract(a, b) | Step::Multiply(a, b) | Step::Divide(a, b) => {
                let [from_a, from_b] = [a, b].map(|o| self.program.steps[o].domain);
                for i in 0..out.len() {
                    let x = self.cells.place(from_a, domain, i);
                    let y = self.cells.place(from_b, domain, i);
                    let (left, right) = (values[a][x], values[b][y]);
                    let (value, by_left, by_right) = operation(compiled.step, left, right);
                    out[i] = value;
                    for (target, [from_left, from_right]) in
                        slopes.iter_mut().zip(&compiled.sources)
                    {
                        let l = from_left.map_or(0.0, |k| by_left * derivatives[a][k][x]);
                        let r = from_right.map_or(0.0, |k| by_right * derivatives[b][k][y]);
                        target[i] = l + r;
                    }
                }
            }
        }
    }
}

/// Value and derivative.
fn function(step: Step, x: f64) -> (f64, f64) {
    match step {
        Step::Exp(_) => {
            let value = libm::exp(x);
            (value, value)
        }
        Step::Log(_) => (libm::log(x), 1.0 / x),
        Step::Power(_, k) => (libm::pow(x, k), k * libm::pow(x, k - 1.0)),
        _ => (f64::NAN, f64::NAN),
    }
}

/// Value and derivatives by both operands.
fn operation(step: Step, x: f64, y: f64) -> (f64, f64, f64) {
    match step {
        Step::Add(..) => (x + y, 1.0, 1.0),
        Step::Subtract(..) => (x - y, 1.0, -1.0),
        Step::Multiply(..) => (x * y, y, x),
        Step::Divide(..) => (x / y, 1.0 / y, -x / (y * y)),
        _ => (f64::NAN, f64::NAN, f64::NAN),
    }
}

impl Cells {
    /// The place in `from` of what is at place `i` of `to`, a wider domain or the same.
    fn place(&self, from: Domain, to: Domain, i: usize) -> usize {
        match (from, to) {
            (Domain::One, _) => 0,
            (Domain::Sizes, Domain::Cells) => self.size_of[i],
            (Domain::Steps, Domain::Cells) => self.step_of[i],
            _ => i,
        }
    }
}

/// Distinct values as they first come, and the place of each among them.
fn levels(values: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let mut distinct: Vec<f64> = Vec::new();
    let places = values.iter().map(|value| {
        let known = distinct.iter().position(|d| d == value);
        known.unwrap_or_else(|| {
            distinct.push(*value);
            distinct.len() - 1
        })
    });
    let places = places.collect();
    (distinct, places)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::laws::{Law, LawParams};

    const SIZES: [f64; 6] = [1e3, 1e3, 1e5, 1e5, 1e7, 1e7];
    const STEPS: [f64; 6] = [10.0, 500.0, 10.0, 500.0, 10.0, 500.0];

    /// Values by cell, and derivatives by parameter and cell.
    fn evaluated(law: &Law, parameters: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut evaluator = Evaluator::new(&law.program, &SIZES, &STEPS, 100.0);
        evaluator.evaluate(parameters);
        let mut value = vec![0.0; 6];
        evaluator.value(&mut value);
        let derivative = |place: usize| {
            let mut out = vec![0.0; 6];
            evaluator.derivative(place, &mut out);
            out
        };
        (value, (0..parameters.len()).map(derivative).collect())
    }

    fn written(formula: &str, names: &[&str]) -> Law {
        let range = r#"{ "min": 0.01, "max": 10 }"#;
        let ranges: Vec<String> = names.iter().map(|n| format!(r#""{n}": {range}"#)).collect();
        let text = format!(
            r#"{{ "formula": "{formula}", "parameters": {{ {} }} }}"#,
            ranges.join(", ")
        );
        let law: LawParams = serde_json::from_str(&text).expect("a law");
        Law::find("mine", &BTreeMap::from([("mine".to_owned(), law)])).expect("a law")
    }

    #[test]
    fn derivatives_are_those_of_central_differences() {
        let find = |name: &str| Law::find(name, &BTreeMap::new()).expect("built in");
        let cases = [
            (find("additive"), vec![0.2, 3.0, 0.3, 2.0, 0.6]),
            (find("chinchilla"), vec![0.2, 3.0, 0.3, 2.0, 0.6]),
            (find("product"), vec![0.2, 3.0, 0.3, 0.6]),
            (find("kaplan"), vec![5.0, 0.1, 0.2, 3000.0]),
            (
                written(
                    "sqrt(x + S) / (1 + exp(-y * log(P))) - z^2 * P^-x",
                    &["x", "y", "z"],
                ),
                vec![0.7, 0.2, 1.5],
            ),
        ];
        for (law, at) in cases {
            let (_, derivatives) = evaluated(&law, &at);
            for place in 0..at.len() {
                let step = 1e-5 * at[place];
                let shifted = |by: f64| {
                    let mut parameters = at.clone();
                    parameters[place] += by;
                    evaluated(&law, &parameters).0
                };
                let (up, down) = (shifted(step), shifted(-step));
                for cell in 0..6 {
                    let expected = (up[cell] - down[cell]) / (2.0 * step);
                    let found = derivatives[place][cell];
                    let close = (found - expected).abs() <= 1e-6 * expected.abs() + 1e-9;
                    assert!(close, "{} {place}: {found} for {expected}", law.name);
                }
            }
        }
    }

    #[test]
    fn linear_parameters_are_found() {
        let names = |law: &Law| -> Vec<String> {
            law.linear
                .iter()
                .map(|i| law.parameters[*i].name.clone())
                .collect()
        };
        let find = |name: &str| names(&Law::find(name, &BTreeMap::new()).expect("built in"));
        assert_eq!(find("additive"), ["a", "b", "c"]);
        assert_eq!(find("product"), ["a", "b"]);
        assert!(find("kaplan").is_empty());
        assert_eq!(
            names(&written("a + (b + c * P^x) / S", &["x"])),
            ["a", "b", "c"]
        );
        assert_eq!(names(&written("a * y * P", &["y"])), ["a"]);
    }
}
