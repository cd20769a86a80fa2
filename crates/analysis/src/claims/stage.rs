use std::collections::BTreeMap;

use cpipe_data::claims::{Claim, ClaimReport, Status, VERSION};
use cpipe_data::law_report::LawReport;
use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Role, Roles, SourceFile, Stage, StageContext,
    StageError, StageId,
};
use serde_json::Value;

use super::evidence::{Evidence, NoValue, View};
use super::params::{ClaimParams, Expected, IntervalOver, Scope, VerifyParams};
use super::report;
use crate::bootstrap::interval;
use crate::csv_file::CsvFile;
use crate::draws::Kind;
use crate::error::AnalysisError;
use crate::expression::Expr;
use crate::table;
use crate::text_table::significant;

/// Checks claims.
///
/// Inputs `cells` (`cells.parquet`) and `fits` (`laws.json` and `draws.parquet`). Outputs
/// `claims.{json,csv,md,tex}`.
#[derive(Clone, Debug)]
pub struct Verify {
    params: VerifyParams,
    checked: Vec<(Expr, Expected)>,
    sources: Vec<SourceFile>,
}

impl Verify {
    /// Checks the parameters; `sources` are the tables by their names in formulas.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: VerifyParams, sources: Vec<SourceFile>) -> Result<Self, (String, String)> {
        if params.claims.is_empty() {
            return Err(("claims".to_owned(), "there are no claims".to_owned()));
        }
        let check = |(place, claim): (usize, &ClaimParams)| {
            let at = |(field, message): (String, String)| {
                let place = format!("claims.{place}");
                let field = if field.is_empty() {
                    place
                } else {
                    format!("{place}.{field}")
                };
                (field, message)
            };
            claim.check().map_err(at)
        };
        let checked: Result<_, _> = params.claims.iter().enumerate().map(check).collect();
        Ok(Self {
            checked: checked?,
            params,
            sources,
        })
    }

    /// The verdict on every claim; claims that name what is nowhere are refused together.
    fn judge(&self, evidence: &Evidence) -> Result<Vec<Claim>, StageError> {
        let (mut claims, mut mistakes) = (Vec::new(), Vec::new());
        for (params, checked) in self.params.claims.iter().zip(&self.checked) {
            match verdict(evidence, params, checked) {
                Ok(claim) => claims.push(claim),
                Err(mistake) => mistakes.push(format!("  {}: {mistake}", params.text)),
            }
        }
        if mistakes.is_empty() {
            return Ok(claims);
        }
        Err(StageError::failed(format!(
            "claims about what is nowhere: {}\n{}",
            mistakes.len(),
            mistakes.join("\n")
        )))
    }

    fn evidence(inputs: &Inputs) -> Result<Evidence, StageError> {
        let fits = inputs.one("fits")?;
        let mut tables = BTreeMap::new();
        for (name, files) in &inputs.sources {
            let Some(path) = files.only() else {
                let message = format!("table `{name}` is a folder, expected a CSV file");
                return Err(StageError::failed(message));
            };
            tables.insert(name.clone(), CsvFile::read(path)?);
        }
        let report = LawReport::read(fits.file("laws.json")?).map_err(AnalysisError::from)?;
        Ok(Evidence {
            cells: table::read_cells(inputs.one("cells")?.file("cells.parquet")?)?,
            report,
            draws: table::read_draws(fits.file("draws.parquet")?)?,
            tables,
        })
    }
}

/// A claim against the evidence; an error if it is about nothing that is there.
fn verdict(
    evidence: &Evidence,
    params: &ClaimParams,
    (tree, expected): &(Expr, Expected),
) -> Result<Claim, String> {
    if let Some(mistake) = evidence.mistake(&params.scope) {
        return Err(mistake);
    }
    let mut claim = Claim {
        text: params.text.clone(),
        source: params.source.clone(),
        value: params.value.clone(),
        scope: shown(&params.scope),
        expected: expected.shown(),
        found: None,
        lo: None,
        hi: None,
        interval: "none".to_owned(),
        status: Status::CannotBeTold,
        reason: None,
    };
    match measured(evidence, params, tree) {
        Ok((found, None)) => {
            claim.found = Some(found);
            claim.status = expected.judge(found, found);
        }
        Ok((found, Some((lo, hi)))) => {
            claim.found = Some(found);
            (claim.lo, claim.hi) = (Some(lo), Some(hi));
            claim.interval = kind_of(params.interval).map_or("none", Kind::name).into();
            claim.status = expected.judge(lo, hi);
        }
        Err(NoValue::Unknown(reason)) => claim.reason = Some(reason),
        Err(NoValue::Mistake(mistake)) => return Err(mistake),
    }
    Ok(claim)
}

fn kind_of(over: IntervalOver) -> Option<Kind> {
    match over {
        IntervalOver::Bootstrap => Some(Kind::Bootstrap),
        IntervalOver::Rounding => Some(Kind::Rounding),
        IntervalOver::None => None,
    }
}

/// The value, and its interval if a fit takes part and one is asked for.
fn measured(
    evidence: &Evidence,
    params: &ClaimParams,
    tree: &Expr,
) -> Result<(f64, Option<(f64, f64)>), NoValue> {
    let kind = kind_of(params.interval);
    let optimum = View::new(evidence, kind.unwrap_or(Kind::Bootstrap), None);
    let found = finite(optimum.value(tree, &params.scope)?)?;
    let (Some(kind), Some(refits)) = (kind, optimum.refits.get()) else {
        return Ok((found, None));
    };
    if refits == 0 {
        let reason = match kind {
            Kind::Rounding => "there are no refits for rounding: give the fit its `resolution`",
            Kind::Bootstrap => "there are no bootstrap refits",
        };
        return Err(reason.to_owned().into());
    }
    let values = (0..refits).map(|refit| {
        let view = View::new(evidence, kind, Some(refit));
        view.value(tree, &params.scope)
    });
    let values: Vec<f64> = values.collect::<Result<_, _>>()?;
    let lost = values.iter().filter(|v| !v.is_finite()).count();
    if lost * 20 > values.len() {
        let total = values.len();
        let reason = format!("in {lost} of {total} refits the value is not a finite number");
        return Err(reason.into());
    }
    Ok((found, Some(interval(values))))
}

fn finite(value: f64) -> Result<f64, String> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err("the value is not a finite number".to_owned())
    }
}

fn shown(scope: &Scope) -> String {
    let convention = scope.convention.map(crate::fit::name_of);
    let step = scope.step.map(|step| format!("step {step}"));
    let parts = [
        scope.modality.clone(),
        scope.protocol.clone(),
        convention.map(str::to_owned),
        scope.law.clone(),
        scope.model.clone(),
        step,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Stage for Verify {
    fn id(&self) -> StageId {
        StageId {
            name: "verify".into(),
            version: 2,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.params).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[
            Role {
                name: "cells",
                many: false,
            },
            Role {
                name: "fits",
                many: false,
            },
        ])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        report::NAMES.map(OutputSpec::file).to_vec()
    }

    fn sources(&self) -> Vec<SourceFile> {
        self.sources.clone()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        _context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let evidence = Self::evidence(inputs)?;
        let report = ClaimReport {
            version: VERSION,
            claims: self.judge(&evidence)?,
        };
        report::write(&report, outputs)?;
        let failed = report.claims.iter().filter(|c| c.status == Status::Fails);
        let failed: Vec<String> = failed.map(told).collect();
        if self.params.fail && !failed.is_empty() {
            let message = format!("claims that fail: {}\n{}", failed.len(), failed.join("\n"));
            return Err(StageError::hinted(
                message,
                "without `fail: true` the stage writes claims.md",
            ));
        }
        Ok(Report::default())
    }
}

fn told(claim: &Claim) -> String {
    let found = claim.found.map_or(String::new(), significant);
    format!(
        "  {}: expected {}, found {found}",
        claim.text, claim.expected
    )
}
