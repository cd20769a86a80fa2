//! Profile likelihood: the range of a parameter that the data do not rule out, the others refitted.

use super::problem::{Found, Problem};
use crate::laws::ParameterRange;

/// The ends of a parameter's 95 % range; none where the data set no end within its search range.
pub(super) fn ends(
    problem: &mut Problem<'_>,
    best: &Found,
    place: usize,
    range: &ParameterRange,
    limit: f64,
) -> (Option<f64>, Option<f64>) {
    let found = [-1.0, 1.0].map(|way| end(problem, best, place, range, limit, way));
    problem.hold(None);
    found.into()
}

fn end(
    problem: &mut Problem<'_>,
    best: &Found,
    place: usize,
    range: &ParameterRange,
    limit: f64,
    way: f64,
) -> Option<f64> {
    let value = best.parameters[place];
    let mut near = best.parameters.clone();
    let mut allowed = |value: f64, near: &mut Vec<f64>| {
        problem.hold(Some((place, value)));
        let found = problem.solve(Some(near));
        let good = found.objective <= limit;
        if good {
            *near = found.parameters;
        }
        good
    };
    let (mut inside, mut stride) = (value, 0.1);
    let mut outside = loop {
        let next = stepped(value, way * stride, range);
        if !allowed(next, &mut near) {
            break next;
        }
        if next <= range.min || next >= range.max || stride > 1e6 {
            return None;
        }
        (inside, stride) = (next, stride * 2.0);
    };
    for _ in 0..14 {
        let middle = between(inside, outside, range);
        if allowed(middle, &mut near) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    Some(between(inside, outside, range))
}

/// A stride away, by a factor where the range is positive.
fn stepped(value: f64, stride: f64, range: &ParameterRange) -> f64 {
    let next = if range.min > 0.0 {
        value * libm::exp(stride)
    } else {
        value + stride * value.abs().max(1e-3)
    };
    next.clamp(range.min, range.max)
}

fn between(a: f64, b: f64, range: &ParameterRange) -> f64 {
    if range.min > 0.0 {
        libm::sqrt(a * b)
    } else {
        f64::midpoint(a, b)
    }
}
