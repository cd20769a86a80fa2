//! From cells to the points of a fit, or why there are none.

use std::collections::BTreeSet;

use cpipe_data::fit_report::Convention;
use cpipe_data::observations::Observation;

use super::problem::Points;
use crate::laws::Law;

pub(super) fn points(
    cells: &[&Observation],
    convention: Convention,
    tokens_per_step: Option<f64>,
) -> Result<Points, String> {
    let mut points = Points {
        tokens_per_step: tokens_per_step.unwrap_or(f64::NAN),
        ..Points::default()
    };
    for cell in cells {
        points.p.push(size(cell, convention)?);
        points.s.push(cell.step as f64);
        points.y.push(ratio(cell)?);
    }
    Ok(points)
}

fn size(cell: &Observation, convention: Convention) -> Result<f64, String> {
    let model = &cell.model;
    let (size, help) = match convention {
        Convention::Nominal => (cell.params_nominal, "give it one in `params_nominal`"),
        Convention::Total => (Some(cell.params_total as f64), "its table must tell it"),
        Convention::NonEmbedding => (
            Some(cell.params_non_embedding as f64),
            "its table must tell it",
        ),
    };
    let size = size.filter(|size| *size > 0.0 && size.is_finite());
    size.ok_or_else(|| {
        let what = super::report::name_of(convention);
        format!("model `{model}` has no {what} size: {help}")
    })
}

fn ratio(cell: &Observation) -> Result<f64, String> {
    let Observation {
        model, step, cr, ..
    } = cell;
    let told = |what: &str| Err(format!("the ratio of `{model}` at step {step} {what}"));
    if !cr.is_finite() {
        return told("is not a number");
    }
    if *cr <= 0.0 {
        return told(&format!("is {cr}: a compression ratio is above 0"));
    }
    if *step == 0 {
        return told("can't be fitted: no power law holds at step 0");
    }
    Ok(*cr)
}

/// What `law` can't be fitted to, whatever its parameters.
pub(super) fn check(points: &Points, law: &Law) -> Result<(), String> {
    let (n, k) = (points.y.len(), law.parameters.len());
    if n <= k {
        return Err(format!(
            "{n} cells cannot determine {k} parameters and their error"
        ));
    }
    let uses = law.variables();
    for (values, used, what) in [
        (&points.p, uses.contains(&"P"), "size"),
        (
            &points.s,
            uses.contains(&"S") || uses.contains(&"D"),
            "training step",
        ),
    ] {
        if used && distinct(values) < 2 {
            return Err(format!(
                "there is one {what} only: how the ratio depends on it cannot be told"
            ));
        }
    }
    if distinct(&points.y) == 1 {
        return Err("all ratios are equal: there is nothing to explain".into());
    }
    Ok(())
}

pub(super) fn distinct(values: &[f64]) -> usize {
    let bits = values.iter().map(|v| v.to_bits());
    bits.collect::<BTreeSet<_>>().len()
}
