use cpipe_data::law_report::LawFit;

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
