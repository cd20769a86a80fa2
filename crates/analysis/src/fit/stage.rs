use std::collections::BTreeSet;

use cpipe_data::fit_report::{self, Convention, Estimate, FitReport, Refusal};
use cpipe_data::observations::Observation;
use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Role, Roles, Stage, StageContext, StageError, StageId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::report;
use super::solve::{FitOptions, LawFit, fit_law};
use crate::bootstrap::{generator, interval, resample};
use crate::table;

/// Search ranges of the exponents.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Least and greatest α.
    pub alpha: (f64, f64),
    /// Least and greatest β.
    pub beta: (f64, f64),
}

impl Default for Bounds {
    fn default() -> Self {
        let FitOptions { alpha, beta, .. } = FitOptions::default();
        Self { alpha, beta }
    }
}

/// Parameters of the `fit` stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitParams {
    /// What P is; a fit is made for each.
    #[serde(default = "default_conventions")]
    pub conventions: Vec<Convention>,
    /// Bootstrap refits over resampled cells behind each interval.
    #[serde(default = "default_bootstrap")]
    pub bootstrap: usize,
    /// Seed of the resampling.
    #[serde(default)]
    pub seed: u64,
    /// Search ranges of the exponents.
    #[serde(default)]
    pub bounds: Bounds,
    /// Starts along each exponent.
    #[serde(default = "default_starts")]
    pub starts: usize,
}

fn default_conventions() -> Vec<Convention> {
    vec![Convention::NonEmbedding]
}

fn default_bootstrap() -> usize {
    1000
}

fn default_starts() -> usize {
    FitOptions::default().starts
}

/// Fits the law to every group of cells.
///
/// Input `cells`: `cells.parquet`. Outputs `fits.{json,csv,md,tex}`.
#[derive(Clone, Debug)]
pub struct Fit(FitParams);

/// The points of one fit.
struct Points {
    p: Vec<f64>,
    s: Vec<f64>,
    y: Vec<f64>,
}

impl Fit {
    /// Checks the parameters.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: FitParams) -> Result<Self, (String, String)> {
        let refuse = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
        if params.conventions.is_empty() {
            return refuse(
                "conventions",
                "at least one of nominal, total, non_embedding is needed",
            );
        }
        if params.bootstrap == 0 {
            return refuse(
                "bootstrap",
                "at least one refit is needed: a fit without intervals is not a result",
            );
        }
        for (name, (lo, hi)) in [("alpha", params.bounds.alpha), ("beta", params.bounds.beta)] {
            if !(lo > 0.0 && lo < hi && hi.is_finite()) {
                return refuse(
                    &format!("bounds.{name}"),
                    "expected [least, greatest] with 0 < least < greatest",
                );
            }
        }
        Ok(Self(params))
    }

    fn options(&self) -> FitOptions {
        let Bounds { alpha, beta } = self.0.bounds;
        FitOptions {
            alpha,
            beta,
            starts: self.0.starts,
        }
    }

    fn fit_group(
        &self,
        cells: &[&Observation],
        convention: Convention,
        threads: usize,
    ) -> Result<fit_report::Fit, String> {
        let points = points(cells, convention)?;
        check(&points)?;
        let options = self.options();
        let best = fit_law(&points.p, &points.s, &points.y, &options, None);
        let (protocol, modality) = (&cells[0].protocol, &cells[0].modality);
        let name = format!("{convention:?}");
        let refits = self.refits(&points, best, [protocol, modality, &name], threads);
        let mean = points.y.iter().sum::<f64>() / points.y.len() as f64;
        let tss: f64 = points.y.iter().map(|y| (y - mean) * (y - mean)).sum();
        let estimate = |value: fn(&LawFit) -> f64, bound: Option<(f64, f64)>| {
            let (lo, hi) = interval(refits.iter().map(value).collect());
            let value = value(&best);
            let at_bound = match bound {
                Some((least, greatest)) => value <= least || value >= greatest,
                None => value <= 0.0,
            };
            Estimate {
                value,
                lo,
                hi,
                at_bound,
            }
        };
        let mut fit = fit_report::Fit {
            protocol: protocol.clone(),
            modality: modality.clone(),
            convention,
            a: estimate(|f| f.a, None),
            b: estimate(|f| f.b, None),
            c: estimate(|f| f.c, None),
            alpha: estimate(|f| f.alpha, Some(options.alpha)),
            beta: estimate(|f| f.beta, Some(options.beta)),
            r2: 1.0 - best.rss / tss,
            rmse: libm::sqrt(best.rss / points.y.len() as f64),
            n: points.y.len(),
            bootstrap: self.0.bootstrap,
            warnings: Vec::new(),
        };
        fit.warnings = warnings(&fit);
        Ok(fit)
    }

    /// Refits on resampled cells. Each has a generator of its own, so threads change nothing.
    fn refits(
        &self,
        points: &Points,
        best: LawFit,
        names: [&str; 3],
        threads: usize,
    ) -> Vec<LawFit> {
        let options = FitOptions {
            starts: 4,
            ..self.options()
        };
        let refit = |replicate: usize| {
            let number = replicate.to_string();
            let [protocol, modality, convention] = names;
            let mut random = generator(self.0.seed, &[protocol, modality, convention, &number]);
            let drawn = loop {
                let drawn = resample(&mut random, points.y.len());
                let pick = |values: &[f64]| drawn.iter().map(|i| values[*i]).collect::<Vec<f64>>();
                let drawn = Points {
                    p: pick(&points.p),
                    s: pick(&points.s),
                    y: pick(&points.y),
                };
                // A resample with one size or one step could not be fitted: drawn again.
                if distinct(&drawn.p) > 1 && distinct(&drawn.s) > 1 {
                    break drawn;
                }
            };
            fit_law(
                &drawn.p,
                &drawn.s,
                &drawn.y,
                &options,
                Some((best.alpha, best.beta)),
            )
        };
        let total = self.0.bootstrap;
        let share = total.div_ceil(threads.max(1));
        std::thread::scope(|scope| {
            let parts: Vec<_> = (0..total)
                .step_by(share.max(1))
                .map(|from| {
                    scope.spawn(move || {
                        (from..(from + share).min(total))
                            .map(refit)
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().unwrap_or_default())
                .collect()
        })
    }
}

fn points(cells: &[&Observation], convention: Convention) -> Result<Points, String> {
    let mut points = Points {
        p: Vec::new(),
        s: Vec::new(),
        y: Vec::new(),
    };
    for cell in cells {
        let p = match convention {
            Convention::Nominal => cell.params_nominal.ok_or_else(|| {
                format!(
                    "model `{}` has no nominal size: give it one in `params_nominal`",
                    cell.model
                )
            })?,
            Convention::Total => cell.params_total as f64,
            Convention::NonEmbedding => cell.params_non_embedding as f64,
        };
        points.p.push(p);
        points.s.push(cell.step as f64);
        points.y.push(cell.cr);
    }
    Ok(points)
}

/// What no law with five parameters can be fitted to.
fn check(points: &Points) -> Result<(), String> {
    let n = points.y.len();
    if let Some(i) = points.y.iter().position(|y| !y.is_finite()) {
        return Err(format!(
            "the ratio of cell {} of {n} is not a number",
            i + 1
        ));
    }
    if points
        .p
        .iter()
        .chain(&points.s)
        .any(|v| *v <= 0.0 || !v.is_finite())
    {
        return Err("sizes and steps must be above 0 to be raised to a power".into());
    }
    if n < 6 {
        return Err(format!(
            "{n} cells cannot determine five coefficients and their error"
        ));
    }
    for (values, what) in [(&points.p, "size"), (&points.s, "step")] {
        if distinct(values) < 3 {
            let found = distinct(values);
            return Err(format!(
                "{found} distinct values of {what} cannot determine its amplitude and exponent beside a"
            ));
        }
    }
    if distinct(&points.y) == 1 {
        return Err("all ratios are equal: there is nothing to explain".into());
    }
    Ok(())
}

fn distinct(values: &[f64]) -> usize {
    values
        .iter()
        .map(|v| v.to_bits())
        .collect::<BTreeSet<_>>()
        .len()
}

fn warnings(fit: &fit_report::Fit) -> Vec<String> {
    let mut warnings = Vec::new();
    let named = [
        ("a", fit.a),
        ("b", fit.b),
        ("c", fit.c),
        ("α", fit.alpha),
        ("β", fit.beta),
    ];
    for (name, estimate) in named {
        if estimate.at_bound {
            warnings.push(format!("{name} stands at its bound {}", estimate.value));
        }
    }
    for (name, estimate) in [("α", fit.alpha), ("β", fit.beta)] {
        if estimate.hi > 3.0 * estimate.lo.max(f64::MIN_POSITIVE) {
            warnings.push(format!(
                "{name} is hardly determined: its interval spans a factor of three or more"
            ));
        }
    }
    warnings
}

/// (protocol, modality) in the order of the table.
fn groups(cells: &[Observation]) -> Vec<(&str, &str)> {
    let mut groups = Vec::new();
    for cell in cells {
        let group = (cell.protocol.as_str(), cell.modality.as_str());
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

impl Stage for Fit {
    fn id(&self) -> StageId {
        StageId {
            name: "fit".into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[Role {
            name: "cells",
            many: false,
        }])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let names = ["fits.json", "fits.csv", "fits.md", "fits.tex"];
        names.into_iter().map(OutputSpec::file).collect()
    }

    fn resources(&self) -> cpipe_engine::Resources {
        cpipe_engine::Resources::any_cores()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let cells = table::read_cells(inputs.one("cells")?.file("cells.parquet")?)?;
        let mut found = FitReport {
            version: fit_report::VERSION,
            fits: Vec::new(),
            refused: Vec::new(),
        };
        let groups = groups(&cells);
        let total = (groups.len() * self.0.conventions.len()) as u64;
        for (protocol, modality) in groups {
            let of_group = |c: &&Observation| c.protocol == protocol && c.modality == modality;
            let group: Vec<&Observation> = cells.iter().filter(of_group).collect();
            for convention in &self.0.conventions {
                context.check_cancelled()?;
                match self.fit_group(&group, *convention, context.threads) {
                    Ok(fit) => found.fits.push(fit),
                    Err(reason) => found.refused.push(Refusal {
                        protocol: protocol.to_owned(),
                        modality: modality.to_owned(),
                        convention: *convention,
                        reason,
                    }),
                }
                let done = (found.fits.len() + found.refused.len()) as u64;
                (context.progress)(done, total, "fits");
            }
        }
        report::write(&found, outputs)?;
        Ok(Report::default())
    }
}
