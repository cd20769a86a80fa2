//! One law fitted to one group of cells.

use cpipe_data::fit_report::Convention;
use cpipe_data::law_report::{LawFit, Parameter};
use cpipe_data::observations::Observation;

use super::leave_out;
use super::method::{Loss, Space};
use super::params::{FitParams, Resample};
use super::points::{check, points};
use super::problem::{Found, Points, Problem};
use super::profile;
use super::refits::{ChunkRatios, Draw, Refits};
use super::report::describe;
use super::statistics::{Spread, criteria, spread, student_95};
use crate::bootstrap::interval;
use crate::laws::Law;

/// A group of cells that belong to one fit.
pub(super) struct Group<'g> {
    pub(super) cells: Vec<&'g Observation>,
    pub(super) convention: Convention,
    pub(super) chunks: Option<&'g ChunkRatios>,
    pub(super) threads: usize,
}

/// A fit with its refits.
pub(super) struct Fitted {
    pub(super) fit: LawFit,
    pub(super) bootstrap: Vec<Draw>,
    pub(super) rounded: Vec<Draw>,
}

impl Group<'_> {
    pub(super) fn fit(&self, params: &FitParams, law: &Law) -> Result<Fitted, String> {
        let points = points(&self.cells, self.convention, params.tokens_per_step)?;
        check(&points, law)?;
        if params.resample == Resample::Chunks && self.chunks.is_none() {
            return Err("some cells have no chunks to resample".into());
        }
        let mut problem = Problem::new(law, &points, params.method());
        let best = problem.solve(None);
        if !best.objective.is_finite() {
            return Err("the law has no finite value at any start: check its ranges".into());
        }
        determined(&mut problem, law, &best)?;
        let known = Known::of(&mut problem, law, &best, &points, params)?;
        let convention = format!("{:?}", self.convention);
        let first = self.cells[0];
        let refits = Refits {
            params,
            law,
            points: &points,
            best: &best,
            names: [&first.protocol, &first.modality, &convention],
            chunks: self.chunks,
            threads: self.threads,
        };
        let (bootstrap, rounded) = (refits.bootstrap(), refits.rounded());
        let parameters = parameters(&mut problem, law, &best, &known, &bootstrap);
        let (r2, rmse) = problem.explained(&best.parameters);
        let rss = rmse * rmse * points.y.len() as f64;
        let mut fit = LawFit {
            protocol: first.protocol.clone(),
            modality: first.modality.clone(),
            convention: self.convention,
            law: law.name.clone(),
            formula: law.formula.clone(),
            method: describe(params),
            warnings: warnings(law, &parameters, &bootstrap),
            parameters,
            covariance: known.covariance,
            n: points.y.len(),
            rss,
            r2,
            rmse,
            aicc: known.aicc,
            bic: known.bic,
            leave_size_out: leave_out::size_by_size(&mut problem, &points, &best),
            leave_last_step_out: leave_out::last_step(&mut problem, &points, &best),
            sizes: ends(&points.p),
            steps: ends(&points.s),
            tokens_per_step: params.tokens_per_step,
            bootstrap: params.bootstrap,
        };
        if fit.leave_size_out.is_none() {
            let message = "with a size left out the others do not determine the law";
            fit.warnings.push(message.to_owned());
        }
        Ok(Fitted {
            fit,
            bootstrap,
            rounded,
        })
    }
}

/// What the optimum itself tells.
struct Known {
    /// By parameter.
    stderr: Vec<Option<f64>>,
    covariance: Option<Vec<Vec<f64>>>,
    aicc: Option<f64>,
    bic: Option<f64>,
    /// The objective up to which a parameter is in its profile interval; none for a Huber loss.
    limit: Option<f64>,
}

impl Known {
    fn of(
        problem: &mut Problem<'_>,
        law: &Law,
        best: &Found,
        points: &Points,
        params: &FitParams,
    ) -> Result<Self, String> {
        let (places, columns) = problem.free_jacobian(&best.parameters);
        let freedom = (points.y.len() - places.len()) as f64;
        let variance = best.objective / freedom;
        let covariance = match spread(&columns, variance) {
            Spread::Covariance(covariance) => covariance,
            Spread::Dependent(which) => return Err(undetermined(law, &places, &which)),
        };
        let mut known = Self {
            stderr: vec![None; law.parameters.len()],
            covariance: None,
            aicc: None,
            bic: None,
            limit: None,
        };
        // A Huber loss is no Gaussian likelihood.
        if params.loss == Loss::Squares {
            let t = student_95(freedom);
            known.limit = Some(best.objective * (1.0 + t * t / freedom));
            for (i, place) in places.iter().enumerate() {
                known.stderr[*place] = Some(libm::sqrt(covariance[i][i]));
            }
            known.covariance = Some(covariance);
            (known.aicc, known.bic) =
                criteria(best.objective, points.y.len(), law.parameters.len());
            if params.space == Space::Log {
                // The density of the ratio, not of its logarithm.
                let shift = 2.0 * points.y.iter().map(|y| libm::log(*y)).sum::<f64>();
                known.aicc = known.aicc.map(|c| c + shift);
                known.bic = known.bic.map(|c| c + shift);
            }
        }
        Ok(known)
    }
}

/// Refuses a law of which the data leave some parameters open, whichever of them stand at bounds.
fn determined(problem: &mut Problem<'_>, law: &Law, best: &Found) -> Result<(), String> {
    let places: Vec<usize> = (0..law.parameters.len()).collect();
    let mut parameters = best.parameters.clone();
    let columns = problem.jacobian(&parameters, &places);
    for place in &law.linear {
        // An amplitude that is nothing but rounding stands for no term.
        let most = columns[*place]
            .iter()
            .fold(0.0_f64, |most, v| most.max(v.abs()));
        if (parameters[*place] * most).abs() < 1e-12 {
            parameters[*place] = 0.0;
        }
    }
    match spread(&problem.jacobian(&parameters, &places), 1.0) {
        Spread::Covariance(_) => Ok(()),
        Spread::Dependent(which) => Err(undetermined(law, &places, &which)),
    }
}

fn undetermined(law: &Law, places: &[usize], which: &[usize]) -> String {
    let names: Vec<&str> = which
        .iter()
        .map(|i| law.parameters[places[*i]].name.as_str())
        .collect();
    match names.as_slice() {
        [name] => format!("the data do not determine {name}: the law does not change with it"),
        names => format!(
            "the data cannot tell {} apart: other values of them fit as well",
            names.join(", ")
        ),
    }
}

fn parameters(
    problem: &mut Problem<'_>,
    law: &Law,
    best: &Found,
    known: &Known,
    bootstrap: &[Draw],
) -> Vec<Parameter> {
    let parameter = |(place, range): (usize, &crate::laws::ParameterRange)| {
        let value = best.parameters[place];
        let (lo, hi) = interval(bootstrap.iter().map(|draw| draw[place]).collect());
        let (profile_lo, profile_hi) = known.limit.map_or((None, None), |limit| {
            profile::ends(problem, best, place, range, limit)
        });
        Parameter {
            name: range.name.clone(),
            value,
            stderr: known.stderr[place],
            lo,
            hi,
            profile_lo,
            profile_hi,
            at_bound: value <= range.min || value >= range.max,
        }
    };
    law.parameters.iter().enumerate().map(parameter).collect()
}

/// Plain words for what the numbers alone would hide.
fn warnings(law: &Law, parameters: &[Parameter], bootstrap: &[Draw]) -> Vec<String> {
    let mut warnings = Vec::new();
    for Parameter {
        name,
        value,
        lo,
        hi,
        at_bound,
        ..
    } in parameters
    {
        if *at_bound {
            warnings.push(format!("{name} stands at its bound {value}"));
        } else if *lo > 0.0 && hi / lo > 3.0 {
            warnings.push(format!(
                "{name} is hardly determined: its interval spans a factor of three or more"
            ));
        } else if *lo <= 0.0 && *value > 0.0 {
            warnings.push(format!("{name} can't be told from 0"));
        }
    }
    for (place, range) in law.parameters.iter().enumerate() {
        let at_bound = |draw: &&Draw| draw[place] <= range.min || draw[place] >= range.max;
        let percent = 100 * bootstrap.iter().filter(at_bound).count() / bootstrap.len().max(1);
        if percent > 0 {
            let name = &range.name;
            warnings.push(format!(
                "{name} stands at a bound in {percent} % of the refits"
            ));
        }
    }
    warnings
}

fn ends(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, greatest)
}
