//! From data to pixels.

/// A logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// Spans the values, a little wider; `from` and `to` are pixels.
    pub(super) fn spanning(values: &[f64], from: f64, to: f64) -> Self {
        let (least, greatest) = extent(values);
        let margin = libm::pow((greatest / least).max(1.5), 0.07);
        Self {
            low: libm::log(least / margin),
            high: libm::log(greatest * margin),
            from,
            to,
        }
    }

    pub(super) fn pixel(&self, value: f64) -> f64 {
        let part = (libm::log(value) - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    /// `count` values from end to end.
    pub(super) fn samples(&self, count: usize) -> Vec<f64> {
        let step = (self.high - self.low) / (count - 1) as f64;
        (0..count)
            .map(|i| libm::exp(self.low + step * i as f64))
            .collect()
    }

    pub(super) fn ends(&self) -> (f64, f64) {
        (libm::exp(self.low), libm::exp(self.high))
    }
}

/// A linear axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    pub(super) low: f64,
    pub(super) high: f64,
    from: f64,
    to: f64,
}

impl Linear {
    pub(super) fn spanning(values: &[f64], from: f64, to: f64) -> Self {
        let (least, greatest) = extent(values);
        let margin = ((greatest - least) * 0.06).max(1e-6);
        Self {
            low: least - margin,
            high: greatest + margin,
            from,
            to,
        }
    }

    pub(super) fn between(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self {
            low,
            high,
            from,
            to,
        }
    }

    pub(super) fn pixel(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About `count` round numbers.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let raw = (self.high - self.low) / count as f64;
        let power = libm::pow(10.0, libm::floor(libm::log10(raw)));
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= raw)
            .unwrap_or(power);
        let first = libm::ceil(self.low / step) as i64;
        let last = libm::floor(self.high / step) as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// Least and greatest of the finite values; (0.5, 1) if there are none, widened if they are equal.
pub(super) fn extent(values: &[f64]) -> (f64, f64) {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (least, greatest) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    if least > greatest {
        (0.5, 1.0)
    } else if least == greatest {
        (least * 0.95, greatest * 1.05 + f64::MIN_POSITIVE)
    } else {
        (least, greatest)
    }
}

/// 25 k, 1.2 M.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 1e9 => (v / 1e9, "B"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let text = if scaled < 10.0 && !unit.is_empty() {
        format!("{scaled:.1}")
    } else {
        format!("{scaled:.0}")
    };
    format!("{}{unit}", text.trim_end_matches(".0"))
}
