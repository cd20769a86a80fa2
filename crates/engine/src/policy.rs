//! How a node may run: what it occupies, how often it is tried, how long it may take.
//!
//! None of it can change the output bytes, so none of it is part of a key.

use std::collections::BTreeMap;
use std::time::Duration;

/// Scheduling rules of one stage, as declared in the pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Cores that a node takes; if none is declared, whatever its stage can use.
    pub cores: Option<usize>,
    /// Units that a node takes of each pool: `mem` in bytes, `gpus`, and pools that the file names.
    pub pools: BTreeMap<String, u64>,
    /// Attempts after the first.
    pub retries: u32,
    /// Wait before the first retry; it doubles with every further one.
    pub wait: Duration,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cores: None,
            pools: BTreeMap::new(),
            retries: 0,
            wait: Duration::from_secs(1),
            timeout: None,
        }
    }
}

impl Policy {
    /// How long to wait before attempt number `attempt` (the first retry is 2).
    pub fn wait_before(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(2).min(16);
        self.wait.saturating_mul(1 << doublings)
    }
}

/// `90`, `90s`, `15m`, `2h`, `500ms`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.trim().parse().ok()?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Bytes of a size as people write it: `1048576`, `512MB`, `4GiB`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.trim().parse().ok()?;
    let unit: f64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        _ => return None,
    };
    let bytes = number * unit;
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("-1s"), None);
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(parse_bytes("4GiB"), Some(4 << 30));
        assert_eq!(parse_bytes("1.5 MB"), Some(1_500_000));
        assert_eq!(parse_bytes("many"), None);
    }

    #[test]
    fn waits_double() {
        let policy = Policy::default();
        let waits: Vec<u64> = (2..5).map(|n| policy.wait_before(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4]);
    }
}
