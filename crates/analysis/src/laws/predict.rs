use cpipe_data::law_report::LawFit;

use super::Evaluator;
use super::compile::compile;
use super::law::{VARIABLES, parameters_of};
use crate::expression::{Expr, Operator, parse};

/// A fitted law at one point, ready for the parameters of the optimum or of a refit.
pub(crate) struct Prediction<'f> {
    fit: &'f LawFit,
    tree: Expr,
}

impl<'f> Prediction<'f> {
    pub(crate) fn of(fit: &'f LawFit) -> Result<Self, String> {
        let formula = &fit.formula;
        let tree = parse(formula).map_err(|mistake| mistake.show(formula))?;
        Ok(Self { fit, tree })
    }

    /// The ratio at size `p` and step `s`; `parameters` in the order of the fit.
    pub(crate) fn at(&self, parameters: &[f64], p: f64, s: f64) -> Result<f64, String> {
        let name = |path: &[String]| match path.join(".").as_str() {
            "P" => Ok(p),
            "S" => Ok(s),
            "D" => match self.fit.tokens_per_step {
                Some(tokens) => Ok(s * tokens),
                None => Err("the law is of D, and the tokens per step are not known".to_owned()),
            },
            name => {
                let place = self.fit.parameters.iter().position(|p| p.name == name);
                let value = place.and_then(|place| parameters.get(place));
                value
                    .copied()
                    .ok_or_else(|| format!("`{name}` has no value"))
            }
        };
        value(&self.tree, &name)
    }

    /// The parameters of the optimum.
    pub(crate) fn best(&self) -> Vec<f64> {
        self.fit.parameters.iter().map(|p| p.value).collect()
    }
}

/// A fitted law at many points (P, S) at once, for the parameters of the optimum or of refits.
pub(crate) fn surface(fit: &LawFit, p: &[f64], s: &[f64]) -> Result<Evaluator, String> {
    let told = |mistake: crate::expression::Mistake| mistake.show(&fit.formula);
    let names: Vec<String> = fit.parameters.iter().map(|p| p.name.clone()).collect();
    let tree = parse(&fit.formula).map_err(told)?;
    let mut needed = Vec::new();
    parameters_of(&tree, &mut needed);
    if let Some(unknown) = needed.iter().find(|name| !names.contains(name)) {
        return Err(format!("`{unknown}` has no value"));
    }
    let program = compile(&tree, &names).map_err(told)?;
    let tokens = fit.tokens_per_step.unwrap_or(f64::NAN);
    Ok(Evaluator::new(&program, p, s, tokens))
}

/// Names in exponents of a formula that are no quantities, as they first come.
pub(crate) fn exponents(formula: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(tree) = parse(formula) {
        collect(&tree, false, &mut found);
    }
    found
}

fn collect(tree: &Expr, raised: bool, found: &mut Vec<String>) {
    match tree {
        Expr::Number(_) => {}
        Expr::Name(path, _) => {
            let name = path.join(".");
            let quantity = VARIABLES.contains(&name.as_str());
            if raised && !quantity && !found.contains(&name) {
                found.push(name);
            }
        }
        Expr::Negative(inner) => collect(inner, raised, found),
        Expr::Call(_, arguments, _) => {
            for argument in arguments {
                collect(argument, raised, found);
            }
        }
        Expr::Binary(operator, left, right) => {
            collect(left, raised, found);
            collect(right, raised || *operator == Operator::Power, found);
        }
    }
}

fn value(tree: &Expr, name: &dyn Fn(&[String]) -> Result<f64, String>) -> Result<f64, String> {
    match tree {
        Expr::Number(value) => Ok(*value),
        Expr::Name(path, _) => name(path),
        Expr::Negative(inner) => Ok(-value(inner, name)?),
        Expr::Call(path, arguments, _) => {
            let arguments: Result<Vec<f64>, String> =
                arguments.iter().map(|a| value(a, name)).collect();
            function(&path.join("."), &arguments?)
        }
        Expr::Binary(operator, left, right) => Ok(operation(
            *operator,
            value(left, name)?,
            value(right, name)?,
        )),
    }
}

/// `exp`, `log`, `sqrt`, `abs` of one number.
pub(crate) fn function(name: &str, arguments: &[f64]) -> Result<f64, String> {
    match (name, arguments) {
        ("exp", [x]) => Ok(libm::exp(*x)),
        ("log" | "ln", [x]) => Ok(libm::log(*x)),
        ("sqrt", [x]) => Ok(libm::sqrt(*x)),
        ("abs", [x]) => Ok(x.abs()),
        _ => Err(format!(
            "there is no function `{name}` of {} numbers",
            arguments.len()
        )),
    }
}

/// A comparison is 1 where it holds and 0 where it does not.
pub(crate) fn operation(operator: Operator, x: f64, y: f64) -> f64 {
    let truth = |holds: bool| f64::from(u8::from(holds));
    match operator {
        Operator::Add => x + y,
        Operator::Subtract => x - y,
        Operator::Multiply => x * y,
        Operator::Divide => x / y,
        Operator::Power => libm::pow(x, y),
        Operator::Less => truth(x < y),
        Operator::LessOrEqual => truth(x <= y),
        Operator::Greater => truth(x > y),
        Operator::GreaterOrEqual => truth(x >= y),
        Operator::Equal => truth(x == y),
    }
}

#[cfg(test)]
mod tests {
    use super::exponents;

    #[test]
    fn exponents_are_what_a_formula_raises_to() {
        let kaplan = "((Pc / P)^(alpha_P / alpha_D) + Dc / D)^alpha_D";
        assert_eq!(exponents(kaplan), ["alpha_P", "alpha_D"]);
        assert_eq!(
            exponents("a + b * P^-alpha * exp(-S / tau) + S^(2 * g)"),
            ["alpha", "g"]
        );
        assert!(exponents("a + b * D^-0.5").is_empty());
    }
}
