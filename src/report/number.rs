//! Numbers as people read them.

/// A cell of a table: a number to four significant digits, anything else as it is.
pub(super) fn shown(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(value) if value.is_finite() => number(value),
        _ => cell.to_owned(),
    }
}

/// Four significant digits; whole numbers whole; very large and very small ones by powers of ten.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if value == value.trunc() && size < 1e15 => format!("{}", value.trunc() as i64),
        ..1e-4 | 1e7.. => format!("{value:.2e}"),
        _ => {
            let steps = [1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3];
            let digits = steps.iter().take_while(|step| size < **step).count();
            format!("{value:.digits$}")
        }
    };
    text.replace('-', "−")
}

/// Whether a cell of a table holds no value.
pub(super) fn is_blank(cell: &str) -> bool {
    cell.is_empty() || cell.eq_ignore_ascii_case("nan")
}

/// A duration.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.095 => "under 0.1 s".to_owned(),
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A size.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A number of things, in the plural where there are several.
pub(super) fn count(n: usize, thing: &str) -> String {
    format!("{n} {}", things(n, thing))
}

/// The word for one thing or several.
pub(super) fn things(n: usize, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if n == 1 => thing.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        for (value, expected) in [
            ("0.2680559810986705", "0.2681"),
            ("490189.0408086643", "490189"),
            ("75.896", "75.90"),
            ("-0.302", "−0.3020"),
            ("25000.0", "25000"),
            ("0", "0"),
            ("0.0000123", "1.23e−5"),
            ("963910951.2404706", "9.64e8"),
            ("999.96", "1000.0"),
            ("NaN", "NaN"),
            ("pythia-70m", "pythia-70m"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn durations_and_words() {
        let shown: Vec<String> = [0.01, 4.44, 52.4, 125.0, 7260.0].map(duration).into();
        assert_eq!(
            shown,
            ["under 0.1 s", "4.4 s", "52 s", "2 min 5 s", "2 h 1 min"]
        );
        assert_eq!(count(3, "modality"), "3 modalities");
        assert_eq!(count(1, "step"), "1 step");
        assert_eq!(size(36_718), "36.7 kB");
    }
}
