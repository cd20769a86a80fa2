//! What formulas of claims are about: fits with their refits, cells, and further tables.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use cpipe_data::fit_report::Convention;
use cpipe_data::law_report::{LawFit, LawRefusal, LawReport};
use cpipe_data::observations::Observation;

use super::params::Scope;
use crate::csv_file::CsvFile;
use crate::draws::{Draws, Kind};
use crate::expression::Expr;
use crate::laws::{Prediction, function, operation};

/// Everything that a claim can be checked against.
pub(super) struct Evidence {
    pub(super) cells: Vec<Observation>,
    pub(super) report: LawReport,
    pub(super) draws: Vec<Draws>,
    pub(super) tables: BTreeMap<String, CsvFile>,
}

/// Why a formula has no value.
#[derive(Debug)]
pub(super) enum NoValue {
    /// It names what nothing has.
    Mistake(String),
    /// The data do not say.
    Unknown(String),
}

impl From<String> for NoValue {
    fn from(reason: String) -> Self {
        Self::Unknown(reason)
    }
}

fn mistake<T>(reason: impl Into<String>) -> Result<T, NoValue> {
    Err(NoValue::Mistake(reason.into()))
}

/// A formula's value at the optimum, or at one refit.
pub(super) struct View<'e> {
    evidence: &'e Evidence,
    kind: Kind,
    /// Which refit; none for the optimum.
    refit: Option<usize>,
    /// The least number of refits of any fit that took part.
    pub(super) refits: Cell<Option<usize>>,
}

const AGGREGATES: [&str; 5] = ["min", "max", "mean", "sum", "count"];

impl<'e> View<'e> {
    pub(super) fn new(evidence: &'e Evidence, kind: Kind, refit: Option<usize>) -> Self {
        Self {
            evidence,
            kind,
            refit,
            refits: Cell::new(None),
        }
    }

    pub(super) fn value(&self, tree: &Expr, scope: &Scope) -> Result<f64, NoValue> {
        match tree {
            Expr::Number(value) => Ok(*value),
            Expr::Negative(inner) => Ok(-self.value(inner, scope)?),
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.value(left, scope)?, self.value(right, scope)?);
                Ok(operation(*operator, left, right))
            }
            Expr::Name(path, _) => self.quantity(path, scope),
            Expr::Call(path, arguments, _) => self.call(path, arguments, scope),
        }
    }

    fn call(&self, path: &[String], arguments: &[Expr], scope: &Scope) -> Result<f64, NoValue> {
        let (name, qualifiers) = path.split_last().ok_or("a call has a name".to_owned())?;
        match (name.as_str(), arguments) {
            ("cr", [p, s]) => {
                let (p, s) = (self.value(p, scope)?, self.value(s, scope)?);
                let (place, fit) = self.fit(qualifiers, scope)?;
                let prediction = Prediction::of(fit)?;
                let parameters = self.parameters(place, &prediction)?;
                Ok(prediction.at(&parameters, p, s)?)
            }
            ("rises", [x, Expr::Name(by, _)]) => self.rises(x, &by.join("."), scope),
            (name, [argument]) if AGGREGATES.contains(&name) => {
                Ok(aggregate(name, &self.rows(argument, scope)?)?)
            }
            (name, several) => {
                let values = several.iter().map(|a| self.value(a, scope));
                let values: Vec<f64> = values.collect::<Result<_, _>>()?;
                match name {
                    "min" | "max" => Ok(aggregate(name, &values)?),
                    _ => function(name, &values).or_else(mistake),
                }
            }
        }
    }

    /// A quantity of a fit: a parameter, `r2`, `rmse`, `n`, a criterion or an error left out.
    fn quantity(&self, path: &[String], scope: &Scope) -> Result<f64, NoValue> {
        let (name, qualifiers) = path.split_last().ok_or("a name is not empty".to_owned())?;
        let (place, fit) = self.fit(qualifiers, scope)?;
        if let Some(row) = self.refit_of(place)? {
            let draws = self.draws(place)?;
            if let Some(value) = draws.place(name).and_then(|i| row.get(i)) {
                return Ok(*value);
            }
        }
        let parameter = fit.parameters.iter().find(|p| p.name == *name);
        let known = match name.as_str() {
            _ if parameter.is_some() => parameter.map(|p| p.value),
            "r2" => Some(fit.r2),
            "rmse" => Some(fit.rmse),
            "n" => Some(fit.n as f64),
            "aicc" => fit.aicc,
            "bic" => fit.bic,
            "leave_size_out" => fit.leave_size_out,
            "leave_last_step_out" => fit.leave_last_step_out,
            _ => {
                let names: Vec<&str> = fit.parameters.iter().map(|p| p.name.as_str()).collect();
                return mistake(format!(
                    "a fit of `{}` has no `{name}`; it has {}, r2, rmse, n, aicc, bic, leave_size_out, leave_last_step_out",
                    fit.law,
                    names.join(", ")
                ));
            }
        };
        Ok(known.ok_or_else(|| format!("`{name}` is not known for this fit"))?)
    }

    /// The fit that qualifiers and scope name.
    fn fit(&self, qualifiers: &[String], scope: &Scope) -> Result<(usize, &'e LawFit), NoValue> {
        let scope = self.qualified(qualifiers, scope)?;
        let fits = || self.evidence.report.fits.iter().enumerate();
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        let of_group = |fit: &LawFit| {
            same(&scope.protocol, &fit.protocol) && same(&scope.modality, &fit.modality)
        };
        let first = fits().map(|(_, fit)| fit).find(|fit| of_group(fit));
        let convention = scope.convention.or(first.map(|fit| fit.convention));
        let law = scope.law.clone().or(first.map(|fit| fit.law.clone()));
        let mut found = fits().filter(|(_, fit)| {
            of_group(fit) && Some(fit.convention) == convention && same(&law, &fit.law)
        });
        match (found.next(), found.next()) {
            (Some(fit), None) => Ok(fit),
            (None, _) => Err(self.no_fit(&scope).into()),
            _ => mistake("several fits are meant: say which `modality` and `protocol`"),
        }
    }

    fn no_fit(&self, scope: &Scope) -> String {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        let mut refused = self.evidence.report.refused.iter();
        let why = refused
            .find(|r| same(&scope.protocol, &r.protocol) && same(&scope.modality, &r.modality));
        match why {
            Some(refusal) => format!("there is no fit: {}", refusal.reason),
            None => "there is no such fit".to_owned(),
        }
    }

    /// `text.nominal` as a scope: each qualifier is a modality, protocol, law or convention.
    fn qualified(&self, qualifiers: &[String], scope: &Scope) -> Result<Scope, NoValue> {
        let mut scope = scope.clone();
        for name in qualifiers {
            let (fits, refused) = (&self.evidence.report.fits, &self.evidence.report.refused);
            let has = |fit: fn(&LawFit) -> &str, refusal: fn(&LawRefusal) -> &str| {
                fits.iter().any(|f| fit(f) == name) || refused.iter().any(|r| refusal(r) == name)
            };
            let name = name.clone();
            if let Some(convention) = convention_of(&name) {
                scope.convention = Some(convention);
            } else if has(|f| &f.modality, |r| &r.modality) {
                scope.modality = Some(name);
            } else if has(|f| &f.law, |r| &r.law) {
                scope.law = Some(name);
            } else if has(|f| &f.protocol, |r| &r.protocol) {
                scope.protocol = Some(name);
            } else {
                return mistake(format!("no fit is of `{name}`"));
            }
        }
        Ok(scope)
    }

    fn draws(&self, place: usize) -> Result<&'e Draws, String> {
        let mut all = self.evidence.draws.iter();
        let found = all.find(|d| d.fit == place && d.kind == self.kind);
        found.ok_or_else(|| match self.kind {
            Kind::Rounding => {
                "there are no refits for rounding: give the fit its `resolution`".into()
            }
            Kind::Bootstrap => "there are no bootstrap refits".to_owned(),
        })
    }

    /// The row of the refit in view; none for the optimum, which takes note of how many there are.
    fn refit_of(&self, place: usize) -> Result<Option<&'e Vec<f64>>, String> {
        let count = self.draws(place).map_or(0, |draws| draws.rows.len());
        let least = self.refits.get().map_or(count, |least| least.min(count));
        self.refits.set(Some(least));
        match self.refit {
            None => Ok(None),
            Some(refit) => Ok(self.draws(place)?.rows.get(refit)),
        }
    }

    fn parameters(&self, place: usize, prediction: &Prediction<'_>) -> Result<Vec<f64>, String> {
        let row = self.refit_of(place)?;
        Ok(row.cloned().unwrap_or_else(|| prediction.best()))
    }

    /// Cells of the scope, with their number of parameters.
    fn cells(&self, scope: &Scope) -> Vec<(&'e Observation, f64)> {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        let size = |c: &Observation| match scope.convention {
            None | Some(Convention::Nominal) => c.params_nominal.unwrap_or(f64::NAN),
            Some(Convention::Total) => c.params_total as f64,
            Some(Convention::NonEmbedding) => c.params_non_embedding as f64,
        };
        let cells = self.evidence.cells.iter().filter(|c| {
            same(&scope.protocol, &c.protocol)
                && same(&scope.modality, &c.modality)
                && same(&scope.model, &c.model)
                && scope.step.is_none_or(|step| step == c.step)
        });
        cells.map(|c| (c, size(c))).collect()
    }

    /// The argument of an aggregate at each row of the cells or of the table that it names.
    fn rows(&self, tree: &Expr, scope: &Scope) -> Result<Vec<f64>, NoValue> {
        let mut tables = BTreeSet::new();
        tables_in(tree, &self.evidence.tables, &mut tables);
        if let Some(name) = tables.first() {
            let table = &self.evidence.tables[*name];
            let row = |row: &crate::csv_file::Row| {
                let column = |path: &[String]| {
                    let column = path.last().map_or("", String::as_str);
                    let place = table.place(column);
                    let Some(place) = place else {
                        return mistake(format!("`{name}` has no column `{column}`"));
                    };
                    let text = &row.fields[place];
                    let wrong =
                        |_| format!("`{name}`, line {}: `{text}` is not a number", row.line);
                    Ok(text.parse().map_err(wrong)?)
                };
                at_row(tree, &column)
            };
            return table.rows.iter().map(row).collect();
        }
        let cells = self.cells(scope);
        if cells.is_empty() {
            return Err("no cell is meant".to_owned().into());
        }
        cells.iter().map(|cell| at_cell(tree, *cell)).collect()
    }

    /// Neighbours in `by` (P or S), alike in all else, between which `x` rises.
    fn rises(&self, x: &Expr, by: &str, scope: &Scope) -> Result<f64, NoValue> {
        let mut series: BTreeMap<[String; 3], Vec<(f64, f64)>> = BTreeMap::new();
        for (cell, size) in self.cells(scope) {
            let (other, at) = match by {
                "P" => (cell.step.to_string(), size),
                "S" => (cell.model.clone(), cell.step as f64),
                _ => return mistake("`rises` is by P or by S"),
            };
            let key = [cell.protocol.clone(), cell.modality.clone(), other];
            let value = at_cell(x, (cell, size))?;
            series.entry(key).or_default().push((at, value));
        }
        let mut rises = 0.0;
        for points in series.values_mut() {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            rises += points.windows(2).filter(|w| w[1].1 > w[0].1).count() as f64;
        }
        Ok(rises)
    }
}

fn convention_of(name: &str) -> Option<Convention> {
    match name {
        "nominal" => Some(Convention::Nominal),
        "total" => Some(Convention::Total),
        "non_embedding" => Some(Convention::NonEmbedding),
        _ => None,
    }
}

fn tables_in<'t>(
    tree: &'t Expr,
    tables: &BTreeMap<String, CsvFile>,
    found: &mut BTreeSet<&'t str>,
) {
    match tree {
        Expr::Number(_) => {}
        Expr::Name(path, _) => found.extend(
            path.first()
                .filter(|first| path.len() > 1 && tables.contains_key(*first))
                .map(String::as_str),
        ),
        Expr::Call(_, arguments, _) => {
            for argument in arguments {
                tables_in(argument, tables, found);
            }
        }
        Expr::Negative(inner) => tables_in(inner, tables, found),
        Expr::Binary(_, left, right) => {
            tables_in(left, tables, found);
            tables_in(right, tables, found);
        }
    }
}

fn at_cell(tree: &Expr, (cell, size): (&Observation, f64)) -> Result<f64, NoValue> {
    let column = |path: &[String]| {
        let name = path.join(".");
        let known = |n: u64| if n > 0 { n as f64 } else { f64::NAN };
        let counted = |n: u64| if cell.tokens > 0 { n as f64 } else { f64::NAN };
        let value = match name.as_str() {
            "P" => size,
            "S" | "step" => cell.step as f64,
            "params_nominal" => cell.params_nominal.unwrap_or(f64::NAN),
            "params_total" => known(cell.params_total),
            "params_non_embedding" => known(cell.params_non_embedding),
            "chunks" => known(cell.chunks),
            "cr_mean" => cell.cr_mean,
            "cr_std" => cell.cr_std,
            "cr_sem" => cell.cr_sem,
            "cr_lo" => cell.cr_lo,
            "cr_hi" => cell.cr_hi,
            "cr_sum_ratio" => cell.cr_sum_ratio,
            "bits_per_byte" => cell.bits_per_byte,
            "tokens" => counted(cell.tokens),
            "tokens_scored" => counted(cell.tokens_scored),
            "dropped" => counted(cell.dropped),
            "nan" => counted(cell.nan),
            "floored" => counted(cell.floored),
            _ => return mistake(format!("cells have no number `{name}`")),
        };
        if value.is_nan() {
            let (model, step) = (&cell.model, cell.step);
            return Err(format!("`{name}` of `{model}` at step {step} is not known").into());
        }
        Ok(value)
    };
    at_row(tree, &column)
}

/// A formula over the columns of one row.
fn at_row(tree: &Expr, column: &dyn Fn(&[String]) -> Result<f64, NoValue>) -> Result<f64, NoValue> {
    match tree {
        Expr::Number(value) => Ok(*value),
        Expr::Name(path, _) => column(path),
        Expr::Negative(inner) => Ok(-at_row(inner, column)?),
        Expr::Binary(operator, left, right) => Ok(operation(
            *operator,
            at_row(left, column)?,
            at_row(right, column)?,
        )),
        Expr::Call(path, arguments, _) => {
            let values = arguments.iter().map(|a| at_row(a, column));
            let values: Vec<f64> = values.collect::<Result<_, _>>()?;
            function(&path.join("."), &values).or_else(mistake)
        }
    }
}

fn aggregate(name: &str, values: &[f64]) -> Result<f64, String> {
    let sum: f64 = values.iter().sum();
    match name {
        _ if values.is_empty() => Err(format!("`{name}` of no rows")),
        "min" => Ok(values.iter().copied().fold(f64::INFINITY, f64::min)),
        "max" => Ok(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        "mean" => Ok(sum / values.len() as f64),
        "sum" => Ok(sum),
        _ => Ok(values.iter().filter(|v| **v != 0.0).count() as f64),
    }
}
