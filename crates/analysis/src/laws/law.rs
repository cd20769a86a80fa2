use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::built_in;
use super::compile::{Program, compile};
use crate::expression::{Expr, parse};

/// A law as written in pipeline.yaml.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LawParams {
    /// Over P (parameters), S (training steps), D (tokens seen) and named parameters.
    pub formula: String,
    /// Ranges of the named parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterParams>,
}

/// The range of a parameter as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterParams {
    /// Least value.
    #[serde(default)]
    pub min: Option<f64>,
    /// Greatest value.
    #[serde(default)]
    pub max: Option<f64>,
    /// Where the search starts besides its own grid.
    #[serde(default)]
    pub start: Option<f64>,
}

/// A parameter of a law, its range resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParameterRange {
    pub(crate) name: String,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) start: Option<f64>,
}

/// A law that can be fitted.
#[derive(Clone, Debug)]
pub(crate) struct Law {
    pub(crate) name: String,
    pub(crate) formula: String,
    /// In the order in which the formula names them.
    pub(crate) parameters: Vec<ParameterRange>,
    /// Places of parameters in which the law is jointly linear and that are bounded by 0 at most.
    pub(crate) linear: Vec<usize>,
    pub(crate) program: Program,
}

/// The quantities that a law may be of.
pub(super) const VARIABLES: [&str; 3] = ["P", "S", "D"];
/// More parameters than this are no law.
const MOST_PARAMETERS: usize = 12;

impl Law {
    /// The law called `name`: one of `written`, or a built-in one.
    pub(crate) fn find(name: &str, written: &BTreeMap<String, LawParams>) -> Result<Self, String> {
        let own = written.get(name).cloned();
        let law = own.or_else(|| built_in::find(name)).ok_or_else(|| {
            let own = written.keys().cloned();
            let all: Vec<String> = built_in::names().map(str::to_owned).chain(own).collect();
            format!("there is no law `{name}`; there are {}", all.join(", "))
        })?;
        Self::new(name, &law)
    }

    fn new(name: &str, law: &LawParams) -> Result<Self, String> {
        let formula = &law.formula;
        let tree = parse(formula).map_err(|mistake| mistake.show(formula))?;
        let mut names = Vec::new();
        parameters_of(&tree, &mut names);
        if let Some(unused) = law.parameters.keys().find(|n| !names.contains(n)) {
            return Err(format!(
                "the formula `{formula}` has no parameter `{unused}`"
            ));
        }
        if names.is_empty() || names.len() > MOST_PARAMETERS {
            let count = names.len();
            return Err(format!(
                "`{formula}` has {count} parameters, expected 1 to {MOST_PARAMETERS}"
            ));
        }
        let program = compile(&tree, &names).map_err(|mistake| mistake.show(formula))?;
        let written = |name: &String| law.parameters.get(name).copied().unwrap_or_default();
        let may_be_linear = |name: &String| {
            let ParameterParams { min, max, .. } = written(name);
            max.is_none() && min.is_none_or(|min| min == 0.0)
        };
        let candidates: Vec<usize> = (0..names.len())
            .filter(|i| may_be_linear(&names[*i]))
            .collect();
        let linear = program.linear_in(&candidates);
        let range =
            |(i, name): (usize, &String)| range_of(name, written(name), linear.contains(&i));
        let parameters: Result<Vec<_>, String> = names.iter().enumerate().map(range).collect();
        Ok(Self {
            name: name.to_owned(),
            formula: formula.clone(),
            parameters: parameters?,
            linear,
            program,
        })
    }

    /// Whether the law is of D, for which the tokens per step must be known.
    pub(crate) fn needs_tokens(&self) -> bool {
        self.variables().contains(&"D")
    }

    /// The quantities that the law is of.
    pub(crate) fn variables(&self) -> Vec<&'static str> {
        self.program.variables()
    }

    /// Puts another range on a parameter, if the law has it.
    pub(crate) fn restrict(&mut self, name: &str, (min, max): (f64, f64)) {
        for parameter in &mut self.parameters {
            if parameter.name == name {
                (parameter.min, parameter.max) = (min, max);
            }
        }
        let bounded = |i: &usize| self.parameters[*i].max.is_infinite();
        self.linear.retain(bounded);
    }
}

fn range_of(name: &str, written: ParameterParams, linear: bool) -> Result<ParameterRange, String> {
    let ParameterParams { min, max, start } = written;
    let (min, max) = match (min, max, linear) {
        (min, None, true) => (min.unwrap_or(f64::NEG_INFINITY), f64::INFINITY),
        (Some(min), Some(max), _) if min < max && min.is_finite() && max.is_finite() => (min, max),
        (Some(_), Some(_), _) => return Err(format!("`{name}`: expected min < max")),
        _ => {
            return Err(format!(
                "`{name}` is searched for, so it needs a range: give it `min` and `max`"
            ));
        }
    };
    if start.is_some_and(|s| !(min..=max).contains(&s)) {
        return Err(format!("`{name}`: `start` is outside its range"));
    }
    let name = name.to_owned();
    Ok(ParameterRange {
        name,
        min,
        max,
        start,
    })
}

/// Names that are neither quantities nor functions, as they first come.
pub(super) fn parameters_of(tree: &Expr, names: &mut Vec<String>) {
    match tree {
        Expr::Number(_) => {}
        Expr::Name(path, _) => {
            let name = path.join(".");
            if !VARIABLES.contains(&name.as_str()) && !names.contains(&name) {
                names.push(name);
            }
        }
        Expr::Call(_, arguments, _) => {
            for argument in arguments {
                parameters_of(argument, names);
            }
        }
        Expr::Negative(inner) => parameters_of(inner, names),
        Expr::Binary(_, left, right) => {
            parameters_of(left, names);
            parameters_of(right, names);
        }
    }
}
