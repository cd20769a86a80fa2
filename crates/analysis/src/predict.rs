//! What fitted laws say of a size and a step, with intervals, and whether that is outside the data.

use std::path::Path;

use cpipe_data::law_report::{LawFit, LawReport};
use serde::Serialize;

use crate::bootstrap::interval;
use crate::draws::Kind;
use crate::error::AnalysisError;
use crate::fit::name_of;
use crate::laws::Prediction;
use crate::table;

/// A point, and which fits are asked.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// P, in the convention of each fit.
    pub params: f64,
    /// S.
    pub step: f64,
    /// Only fits of this modality.
    pub modality: Option<String>,
    /// Only fits of this protocol.
    pub protocol: Option<String>,
    /// Only fits of this law.
    pub law: Option<String>,
    /// Only fits with P counted so: `nominal`, `total` or `non-embedding`.
    pub convention: Option<String>,
}

/// What one fit predicts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predicted {
    /// Modality of the fit.
    pub modality: String,
    /// Protocol of the fit.
    pub protocol: String,
    /// What P is.
    pub convention: &'static str,
    /// Name of the law.
    pub law: String,
    /// The predicted compression ratio.
    pub ratio: f64,
    /// Lower end of its 95 % bootstrap interval.
    pub lo: f64,
    /// Upper end of its 95 % bootstrap interval.
    pub hi: f64,
    /// In which ways the point is outside the fitted range; empty within it.
    pub outside: Vec<String>,
}

/// Asks the fits in `laws.json` and `draws.parquet`.
///
/// # Errors
/// Files that are not what they should be; no fit that is asked for; a point without a ratio.
pub fn predict(laws: &Path, draws: &Path, query: &Query) -> Result<Vec<Predicted>, AnalysisError> {
    let refuse = |message: String| AnalysisError::Cells(message);
    for (name, value) in [("params", query.params), ("step", query.step)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(refuse(format!(
                "--{name} is {value}, expected a number above 0"
            )));
        }
    }
    let report = LawReport::read(laws)?;
    let draws = table::read_draws(draws)?;
    let asked = report
        .fits
        .iter()
        .enumerate()
        .filter(|(_, fit)| query.asks(fit));
    let predicted = asked.map(|(place, fit)| {
        let of_fit = draws
            .iter()
            .find(|d| d.fit == place && d.kind == Kind::Bootstrap);
        let rows = of_fit.map_or(&[][..], |d| d.rows.as_slice());
        one(fit, rows, query).map_err(refuse)
    });
    let predicted: Vec<Predicted> = predicted.collect::<Result<_, _>>()?;
    if predicted.is_empty() {
        return Err(refuse(none(&report)));
    }
    Ok(predicted)
}

impl Query {
    fn asks(&self, fit: &LawFit) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        same(&self.modality, &fit.modality)
            && same(&self.protocol, &fit.protocol)
            && same(&self.law, &fit.law)
            && same(&self.convention, name_of(fit.convention))
    }
}

fn one(fit: &LawFit, refits: &[Vec<f64>], query: &Query) -> Result<Predicted, String> {
    let prediction = Prediction::of(fit)?;
    let at = |parameters: &[f64]| prediction.at(parameters, query.params, query.step);
    let ratio = at(&prediction.best())?;
    if !ratio.is_finite() {
        return Err(format!("the law `{}` has no finite ratio there", fit.law));
    }
    let values: Vec<f64> = refits.iter().map(|p| at(p)).collect::<Result<_, _>>()?;
    let (lo, hi) = interval(values);
    Ok(Predicted {
        modality: fit.modality.clone(),
        protocol: fit.protocol.clone(),
        convention: name_of(fit.convention),
        law: fit.law.clone(),
        ratio,
        lo,
        hi,
        outside: outside(fit, query),
    })
}

fn outside(fit: &LawFit, query: &Query) -> Vec<String> {
    let told = |value: f64, (least, greatest): (f64, f64), what: &str, unit: &str| {
        let far = if value > greatest {
            format!("{:.1} times the greatest", value / greatest)
        } else if value < least {
            format!("{:.1} times less than the least", least / value)
        } else {
            return None;
        };
        let range = format!("{least} to {greatest}");
        Some(format!(
            "{value} {unit} is {far} {what} that was fitted ({range})"
        ))
    };
    let size = told(query.params, fit.sizes, "size", "parameters");
    let step = told(query.step, fit.steps, "step", "steps");
    size.into_iter().chain(step).collect()
}

fn none(report: &LawReport) -> String {
    let mut there: Vec<String> = Vec::new();
    for fit in &report.fits {
        let LawFit {
            modality,
            protocol,
            law,
            ..
        } = fit;
        there.push(format!(
            "{modality}, {protocol}, {}, {law}",
            name_of(fit.convention)
        ));
    }
    match (there.is_empty(), report.refused.first()) {
        (true, Some(refusal)) => format!("there is no fit: {}", refusal.reason),
        (true, None) => "there is no fit".to_owned(),
        (false, _) => format!("no such fit; there are:\n  {}", there.join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::testing::parameter;
    use cpipe_data::fit_report::Convention;
    use cpipe_data::law_report::VERSION;

    fn fit() -> LawFit {
        LawFit {
            protocol: "paper".into(),
            modality: "text".into(),
            convention: Convention::NonEmbedding,
            law: "mine".into(),
            formula: "a + 10 * P^-1 + D / 1e6".into(),
            method: "squares".into(),
            parameters: vec![parameter("a", 0.5)],
            covariance: None,
            n: 9,
            rss: 0.0,
            r2: 1.0,
            rmse: 0.0,
            aicc: None,
            bic: None,
            leave_size_out: None,
            leave_last_step_out: None,
            sizes: (10.0, 100.0),
            steps: (1.0, 8.0),
            tokens_per_step: Some(1000.0),
            bootstrap: 3,
            warnings: Vec::new(),
        }
    }

    fn ask(query: &Query) -> Result<Vec<Predicted>, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let (laws, draws) = (
            dir.path().join("laws.json"),
            dir.path().join("draws.parquet"),
        );
        let report = LawReport {
            version: VERSION,
            fits: vec![fit()],
            refused: Vec::new(),
        };
        report.write(&laws).expect("a file");
        let rows = [0.4, 0.5, 0.6].map(|a| vec![a, 1.0, 0.0]).to_vec();
        let all = [Draws::of(0, &fit(), Kind::Bootstrap, rows)];
        table::write_draws(&all, &draws).expect("a file");
        predict(&laws, &draws, query).map_err(|e| e.to_string())
    }

    #[test]
    fn a_point_has_an_interval_and_is_told_to_be_outside() {
        let inside = Query {
            params: 20.0,
            step: 2.0,
            ..Query::default()
        };
        let found = &ask(&inside).expect("a fit")[0];
        assert!((found.ratio - (0.5 + 0.5 + 0.002)).abs() < 1e-12);
        assert!(
            (found.lo - 0.907).abs() < 1e-9 && (found.hi - 1.097).abs() < 1e-9,
            "{found:?}"
        );
        assert!(found.outside.is_empty());
        let far = Query {
            params: 400.0,
            step: 0.5,
            ..Query::default()
        };
        let outside = &ask(&far).expect("a fit")[0].outside;
        let expected = [
            "400 parameters is 4.0 times the greatest size that was fitted (10 to 100)",
            "0.5 steps is 2.0 times less than the least step that was fitted (1 to 8)",
        ];
        assert_eq!(outside, &expected);
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        let zero = ask(&Query {
            step: 1.0,
            ..Query::default()
        })
        .expect_err("no size");
        assert_eq!(zero, "--params is 0, expected a number above 0");
        let other = Query {
            params: 20.0,
            step: 2.0,
            modality: Some("image".into()),
            ..Query::default()
        };
        let said = ask(&other).expect_err("no such fit");
        assert_eq!(
            said,
            "no such fit; there are:\n  text, paper, non-embedding, mine"
        );
    }
}
