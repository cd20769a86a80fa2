//! From data to places on the page.

/// A logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// Spans the positive values, a little wider; `from` and `to` are places on the page.
    pub(super) fn spanning(values: &[f64], (from, to): (f64, f64)) -> Self {
        let positive: Vec<f64> = values.iter().copied().filter(|v| *v > 0.0).collect();
        let (least, greatest) = extent(&positive);
        let (low, high) = (libm::log(least), libm::log(greatest));
        let margin = 0.07 * (high - low).max(0.4);
        Self {
            low: low - margin,
            high: high + margin,
            from,
            to,
        }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
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
    /// Spans the values, a little wider.
    pub(super) fn spanning(values: &[f64], ends: (f64, f64)) -> Self {
        let (least, greatest) = extent(values);
        let margin = (greatest - least) * 0.06;
        Self::between((least - margin, greatest + margin), ends)
    }

    pub(super) fn between((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        Self {
            low,
            high,
            from,
            to,
        }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The round step that makes at most `count` parts.
    pub(super) fn step(&self, count: usize) -> f64 {
        let raw = (self.high - self.low) / count as f64;
        let power = libm::pow(10.0, libm::floor(libm::log10(raw)));
        let mut steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power);
        steps.find(|s| *s >= raw * (1.0 - 1e-9)).unwrap_or(power)
    }

    /// Round numbers, at most `count` and one.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let step = self.step(count);
        let first = libm::ceil(self.low / step - 1e-9);
        let last = libm::floor(self.high / step + 1e-9);
        let ticks = (last - first).clamp(0.0, 2.0 * count as f64) as usize;
        (0..=ticks).map(|i| (first + i as f64) * step).collect()
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
    } else if greatest - least <= 1e-12 * greatest.abs() {
        let room = 0.05 * greatest.abs();
        let room = if room > 0.0 { room } else { 0.5 };
        (least - room, greatest + room)
    } else {
        (least, greatest)
    }
}

/// Decimals that tell neighbouring ticks apart.
pub(super) fn decimals_of(ticks: &[f64]) -> usize {
    let step = match ticks {
        [first, second, ..] => second - first,
        _ => 0.01,
    };
    (-libm::floor(libm::log10(step) + 1e-9)).clamp(0.0, 12.0) as usize
}

/// Three digits at most: 25k, 302M, 1.21B.
pub(super) fn short(value: f64) -> String {
    const UNITS: [(f64, &str); 5] = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    let unit = UNITS.iter().find(|(unit, _)| value >= *unit * 0.9995);
    let (scaled, name) = match unit {
        Some((unit, name)) if value < 1e15 => (value / unit, name),
        _ => return format!("{value:.1e}"),
    };
    let text = match scaled {
        s if s < 9.995 => format!("{s:.2}"),
        s => return format!("{s:.0}{name}"),
    };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{name}")
}

/// A training step; exactly, below a billion.
pub(super) fn step_name(step: f64) -> String {
    let thousands = step / 1000.0;
    if step >= 1e9 {
        short(step)
    } else if step < 10_000.0 || thousands.fract() != 0.0 {
        format!("{step:.0}")
    } else {
        format!("{thousands:.0}k")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [
            24_832.0,
            302_311_424.0,
            1_208_602_624.0,
            999_999.0,
            7.0,
            0.0,
        ];
        assert_eq!(all.map(short), ["25k", "302M", "1.21B", "1M", "7", "0.0e0"]);
        assert_eq!(
            [0.0, 1024.0, 12_345.0, 143_000.0].map(step_name),
            ["0", "1024", "12345", "143k"]
        );
    }

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Linear::between((0.13, 0.61), (0.0, 1.0));
        let ticks: Vec<String> = axis.ticks(5).iter().map(|t| format!("{t:.3}")).collect();
        assert_eq!(ticks, ["0.200", "0.300", "0.400", "0.500", "0.600"]);
        assert_eq!(extent(&[0.0, 0.0]), (-0.5, 0.5));
        assert_eq!(extent(&[f64::NAN]), (0.5, 1.0));
    }
}
