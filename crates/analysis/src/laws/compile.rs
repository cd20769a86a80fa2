//! From the tree of a formula to a list of steps, each of which knows on which quantities and
//! parameters it depends: what depends on P alone is computed once for each size, not each cell.

use crate::expression::{Expr, Mistake, Operator};

/// A step of the computation; numbers are places of earlier steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Number(f64),
    Size,
    Training,
    Tokens,
    Parameter(usize),
    Add(usize, usize),
    Subtract(usize, usize),
    Multiply(usize, usize),
    Divide(usize, usize),
    Exp(usize),
    Log(usize),
    /// To a constant power.
    Power(usize, f64),
}

/// What a step has a value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    One,
    Sizes,
    Steps,
    Cells,
}

#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) step: Step,
    pub(super) domain: Domain,
    /// Parameters that it depends on, sorted.
    pub(super) parameters: Vec<usize>,
    /// For each of them, its place among the parameters of either operand.
    pub(super) sources: Vec<[Option<usize>; 2]>,
}

/// A compiled formula; the last step is its value.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(super) steps: Vec<Compiled>,
}

impl Step {
    pub(super) fn operands(self) -> [Option<usize>; 2] {
        match self {
            Self::Add(a, b) | Self::Subtract(a, b) | Self::Multiply(a, b) | Self::Divide(a, b) => {
                [Some(a), Some(b)]
            }
            Self::Exp(a) | Self::Log(a) | Self::Power(a, _) => [Some(a), None],
            Self::Number(_) | Self::Size | Self::Training | Self::Tokens | Self::Parameter(_) => {
                [None, None]
            }
        }
    }
}

impl Program {
    fn push(&mut self, step: Step) -> usize {
        let mut domain = match step {
            Step::Size => Domain::Sizes,
            Step::Training | Step::Tokens => Domain::Steps,
            _ => Domain::One,
        };
        let mut parameters = match step {
            Step::Parameter(place) => vec![place],
            _ => Vec::new(),
        };
        for operand in step.operands().into_iter().flatten() {
            let other = &self.steps[operand];
            domain = match (domain, other.domain) {
                (Domain::One, d) | (d, Domain::One) => d,
                (a, b) if a == b => a,
                _ => Domain::Cells,
            };
            parameters.extend(&other.parameters);
        }
        parameters.sort_unstable();
        parameters.dedup();
        let place = |operand: Option<usize>, parameter: &usize| {
            let of = &self.steps[operand?].parameters;
            of.iter().position(|p| p == parameter)
        };
        let operands = step.operands();
        let source = |p: &usize| operands.map(|operand| place(operand, p));
        let sources = parameters.iter().map(source).collect();
        self.steps.push(Compiled {
            step,
            domain,
            parameters,
            sources,
        });
        self.steps.len() - 1
    }

    fn is_constant(&self, place: usize) -> Option<f64> {
        match self.steps[place].step {
            Step::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The quantities that take part.
    pub(super) fn variables(&self) -> Vec<&'static str> {
        let used = |step: Step| self.steps.iter().any(|s| s.step == step);
        let all = [
            ("P", Step::Size),
            ("S", Step::Training),
            ("D", Step::Tokens),
        ];
        let all = all.into_iter().filter(|(_, step)| used(*step));
        all.map(|(name, _)| name).collect()
    }

    /// Those of `candidates`, taken in their order, in which the value is jointly linear.
    pub(super) fn linear_in(&self, candidates: &[usize]) -> Vec<usize> {
        let mut set = Vec::new();
        for candidate in candidates {
            set.push(*candidate);
            if !self.is_linear(&set) {
                set.pop();
            }
        }
        set
    }

    fn is_linear(&self, set: &[usize]) -> bool {
        let touches = |place: usize| self.steps[place].parameters.iter().any(|p| set.contains(p));
        self.steps.iter().all(|compiled| match compiled.step {
            Step::Multiply(a, b) => !(touches(a) && touches(b)),
            Step::Divide(_, b) => !touches(b),
            Step::Exp(a) | Step::Log(a) | Step::Power(a, _) => !touches(a),
            _ => true,
        })
    }
}

/// Compiles a formula whose parameters are `names`.
pub(super) fn compile(tree: &Expr, names: &[String]) -> Result<Program, Mistake> {
    let mut program = Program { steps: Vec::new() };
    add(&mut program, tree, names)?;
    Ok(program)
}

fn add(program: &mut Program, tree: &Expr, names: &[String]) -> Result<usize, Mistake> {
    let step = match tree {
        Expr::Number(value) => Step::Number(*value),
        Expr::Name(path, _) => match path.join(".").as_str() {
            "P" => Step::Size,
            "S" => Step::Training,
            "D" => Step::Tokens,
            name => Step::Parameter(names.iter().position(|n| n == name).unwrap_or_default()),
        },
        Expr::Negative(inner) => {
            if let Expr::Number(value) = **inner {
                return Ok(program.push(Step::Number(-value)));
            }
            let minus = program.push(Step::Number(-1.0));
            Step::Multiply(minus, add(program, inner, names)?)
        }
        Expr::Call(path, arguments, at) => call(program, &path.join("."), arguments, *at, names)?,
        Expr::Binary(Operator::Power, base, exponent) => power(program, base, exponent, names)?,
        Expr::Binary(operator, left, right) => {
            let left = add(program, left, names)?;
            let right = add(program, right, names)?;
            match operator {
                Operator::Add => Step::Add(left, right),
                Operator::Subtract => Step::Subtract(left, right),
                Operator::Multiply => Step::Multiply(left, right),
                Operator::Divide => Step::Divide(left, right),
                _ => {
                    return Err(Mistake {
                        at: 0,
                        message: "a law can't compare".to_owned(),
                    });
                }
            }
        }
    };
    Ok(program.push(step))
}

fn call(
    program: &mut Program,
    name: &str,
    arguments: &[Expr],
    at: usize,
    names: &[String],
) -> Result<Step, Mistake> {
    let refuse = |message: String| Err(Mistake { at, message });
    let [argument] = arguments else {
        return refuse(format!("`{name}` takes one argument"));
    };
    let make: fn(usize) -> Step = match name {
        "exp" => Step::Exp,
        "log" | "ln" => Step::Log,
        "sqrt" => |a| Step::Power(a, 0.5),
        _ => {
            return refuse(format!(
                "there is no function `{name}`; there are exp, log, sqrt"
            ));
        }
    };
    Ok(make(add(program, argument, names)?))
}

/// x^k with a number k as it is; x^y as exp(y·log x), whose logarithm of a quantity is taken once.
fn power(
    program: &mut Program,
    base: &Expr,
    exponent: &Expr,
    names: &[String],
) -> Result<Step, Mistake> {
    let base = add(program, base, names)?;
    let exponent = add(program, exponent, names)?;
    if let Some(value) = program.is_constant(exponent) {
        return Ok(Step::Power(base, value));
    }
    let log = program.push(Step::Log(base));
    let product = program.push(Step::Multiply(exponent, log));
    Ok(Step::Exp(product))
}
