//! What counts as a number in pipeline.yaml, and which number it is.
//!
//! A scalar without quotes is a number if it is one in the core schema of YAML 1.2 (`12`, `-0`, `007`,
//! `.5`, `1.`, `1e3`, `0x1F`, `0o17`, `.inf`), or an integer in one of two more spellings that the YAML
//! library knows: `0b101`, and single underscores between digits (`1_000`).

/// A number as it was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    /// The whole number that the text spells, if it spells one: `1e3` and `1000.0` are 1000.
    pub(crate) whole: Option<i128>,
    /// The nearest double.
    pub(crate) double: f64,
    /// Whether it is written as an integer, without point and exponent.
    pub(crate) is_integer: bool,
}

impl Number {
    /// An integer that the YAML library has read.
    pub(crate) fn integer(value: i128) -> Self {
        Self {
            whole: Some(value),
            double: value as f64,
            is_integer: true,
        }
    }

    /// What the YAML library has read as a double: fractions, and integers that are too long for it
    /// or begin with a zero.
    pub(crate) fn float(written: &str, double: f64) -> Self {
        let (_, digits) = signed(written);
        Self {
            whole: decimal(written),
            double,
            is_integer: !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
        }
    }

    /// Whether the double is what was written, as far as a double is expected to be.
    ///
    /// A decimal fraction is its nearest double. An integer that a double rounds is not, and neither
    /// is what lies outside the range of doubles.
    pub(crate) fn is_held(&self, written: &str) -> bool {
        let lost = self.double == 0.0 && has_digits_above_zero(written);
        let rounded = self.is_integer && self.whole != Some(self.double as i128);
        self.double.is_finite() && !lost && !rounded
    }
}

/// The whole number that a text spells: `1000`, `1_000`, `1e3`, `0x3E8` and `1000.0` are one.
pub fn whole_number(text: &str) -> Option<i128> {
    let (sign, rest) = signed(text);
    let (radix, digits) = match prefixed(rest) {
        Some(prefixed) => prefixed,
        None if rest.contains('_') && !rest.starts_with('0') => (10, rest),
        None => return decimal(text),
    };
    let whole = sign * i128::from_str_radix(&joined(digits)?, radix).ok()?;
    // Beyond 64 bits, the YAML library takes these spellings for texts.
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    range.contains(&whole).then_some(whole)
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn prefixed(text: &str) -> Option<(u32, &str)> {
    let digits = |prefix: &str| {
        let head = text.get(..2)?;
        head.eq_ignore_ascii_case(prefix).then_some(&text[2..])
    };
    let radixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let mut found = radixes.into_iter();
    found.find_map(|(prefix, radix)| Some((radix, digits(prefix)?)))
}

/// The digits without the single underscores between them.
fn joined(digits: &str) -> Option<String> {
    let good = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    digits.split('_').all(good).then(|| digits.replace('_', ""))
}

/// The whole number that a decimal literal spells exactly.
fn decimal(text: &str) -> Option<i128> {
    let (sign, rest) = signed(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, part].concat();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = digits.trim_start_matches('0').trim_end_matches('0');
    if kept.is_empty() {
        return Some(0);
    }
    let cut = digits.len() - digits.trim_end_matches('0').len();
    let zeros = i64::from(exponent) - part.len() as i64 + cut as i64;
    let power = 10i128.checked_pow(u32::try_from(zeros).ok()?)?;
    kept.parse::<i128>()
        .ok()?
        .checked_mul(power)
        .map(|n| sign * n)
}

/// Whether a literal has a digit above zero in front of its exponent.
fn has_digits_above_zero(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().any(|b| matches!(b, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn a_whole_number_has_many_spellings() {
        let thousand = [
            "1000",
            "1_000",
            "+1000",
            "0001000",
            "1e3",
            "1E+3",
            "1000.",
            "1000.00",
            ".1e4",
            "10000e-1",
            "0x3E8",
            "0X3e8",
            "0o1750",
            "0b1111101000",
            "1_0_0_0",
            "+0x3_E8",
        ];
        for text in thousand {
            assert_eq!(whole_number(text), Some(1000), "{text}");
        }
        for text in ["0", "-0", "0.0", "0e9", "-.0", "0x0"] {
            assert_eq!(whole_number(text), Some(0), "{text}");
        }
        assert_eq!(whole_number("-0x1F"), Some(-31));
        assert_eq!(
            whole_number("9007199254740993.0"),
            Some(9_007_199_254_740_993)
        );
    }

    #[test]
    fn what_is_no_whole_number() {
        let texts = [
            "", ".", "+", "e3", "1e", "1.5", "1e-1", "1__0", "_1", "1_", "0_1", "0x", "0x_1",
            "0xG", "0b2", "abc", ".inf", "1e400", "1 000", "--1", "1e3e3", "1_0.0", "é0", "0x+1",
            "0o-7",
        ];
        for text in texts {
            assert_eq!(whole_number(text), None, "{text}");
        }
    }
}
