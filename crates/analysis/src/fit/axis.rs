//! Where a search looks: coordinates of the parameters and a grid of starts.

use crate::laws::Law;

/// A parameter's range and whether it is searched in its logarithm.
pub(super) struct Axis {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Axis {
    pub(super) fn of(law: &Law, place: usize) -> Self {
        let range = &law.parameters[place];
        Self {
            min: range.min,
            max: range.max,
        }
    }

    fn logarithmic(&self) -> bool {
        self.min > 0.0
    }

    pub(super) fn to(&self, value: f64) -> f64 {
        if self.logarithmic() {
            libm::log(value)
        } else {
            value
        }
    }

    /// Exactly the bound at the bound.
    pub(super) fn from(&self, at: f64) -> f64 {
        if !self.logarithmic() {
            at
        } else if at <= self.to(self.min) {
            self.min
        } else if at >= self.to(self.max) {
            self.max
        } else {
            libm::exp(at).clamp(self.min, self.max)
        }
    }

    /// ∂value/∂coordinate.
    pub(super) fn stretch(&self, value: f64) -> f64 {
        if self.logarithmic() { value } else { 1.0 }
    }
}

/// Grid points along each axis.
pub(super) fn per_axis(starts: usize, axes: usize) -> usize {
    match axes {
        0..=2 => starts.max(2),
        3 => starts.div_ceil(2).max(2),
        4 => (starts * 5).div_ceil(8).max(3),
        _ => 2,
    }
}

pub(super) fn middle(min: f64, max: f64) -> f64 {
    match (min.is_finite(), max.is_finite()) {
        (true, true) => spaced(min, max, 3)[1],
        (true, false) => min,
        _ => 0.0,
    }
}

/// `n` values from `min` to `max`, by equal factors where both are positive.
pub(super) fn spaced(min: f64, max: f64, n: usize) -> Vec<f64> {
    let part = |i: usize| i as f64 / (n - 1) as f64;
    let value = |i: usize| {
        if min > 0.0 {
            (min * libm::exp(part(i) * libm::log(max / min))).clamp(min, max)
        } else {
            min + part(i) * (max - min)
        }
    };
    (0..n).map(value).collect()
}
