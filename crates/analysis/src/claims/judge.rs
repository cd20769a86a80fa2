use cpipe_data::claims::Status;

use super::params::Expected;

impl Expected {
    /// As it is shown.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Near(value, 0.0) => value.to_string(),
            Self::Near(value, tolerance) => format!("{value} ± {tolerance}"),
            Self::Above(bound) => format!("> {bound}"),
            Self::Below(bound) => format!("< {bound}"),
        }
    }

    fn meets(self, value: f64) -> bool {
        match self {
            // Decimal tolerances are not exact: 0.385 is within 0.38 ± 0.005.
            Self::Near(wanted, tolerance) => {
                (value - wanted).abs() <= tolerance + 1e-12 * wanted.abs().max(tolerance)
            }
            Self::Above(bound) => value > bound,
            Self::Below(bound) => value < bound,
        }
    }

    /// Holds if the whole interval is as claimed, fails if none of it is.
    pub(super) fn judge(self, lo: f64, hi: f64) -> Status {
        let spans = match self {
            Self::Near(wanted, _) => lo <= wanted && wanted <= hi,
            Self::Above(_) | Self::Below(_) => false,
        };
        match (self.meets(lo), self.meets(hi)) {
            (true, true) => Status::Holds,
            (false, false) if !spans => Status::Fails,
            _ => Status::CannotBeTold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_interval_decides() {
        use Status::{CannotBeTold, Fails, Holds};
        let near = Expected::Near(0.38, 0.005);
        for (lo, hi, status) in [
            (0.376, 0.385, Holds),
            (0.3, 0.374, Fails),
            (0.386, 0.4, Fails),
            (0.37, 0.38, CannotBeTold),
            (0.38, 0.39, CannotBeTold),
            (0.3, 0.5, CannotBeTold),
        ] {
            assert_eq!(near.judge(lo, hi), status, "{lo} to {hi}");
        }
        assert_eq!(Expected::Above(1.0).judge(1.1, 2.0), Holds);
        assert_eq!(Expected::Above(1.0).judge(0.0, 1.0), Fails);
        assert_eq!(Expected::Below(1.0).judge(0.9, 1.1), CannotBeTold);
        assert_eq!(Expected::Near(0.0, 0.0).judge(0.0, 0.0), Holds);
    }
}
