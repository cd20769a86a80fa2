//! `resources:`, `retries:` and `timeout:` of a stage, and the `pools:` of the pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::SpecError;
use super::file::read_map;
use super::tree::{Node, Value};
use crate::policy::{Policy, parse_bytes, parse_duration};

/// Pools that need not be declared.
const BUILT_IN: [&str; 2] = ["mem", "gpus"];

/// Capacities by name: those that the file declares.
pub(crate) fn read_pools(document: &Node, errors: &mut Vec<SpecError>) -> BTreeMap<String, u64> {
    let mut pools = BTreeMap::new();
    for (key, node) in read_map(document, "pools", errors) {
        match amount(&key.text, node) {
            Ok(units) => {
                pools.insert(key.text.clone(), units);
            }
            Err(error) => errors.push(error),
        }
    }
    pools
}

/// The policy of the stage at `node`.
pub(crate) fn read_policy(
    node: &Node,
    pools: &BTreeMap<String, u64>,
    errors: &mut Vec<SpecError>,
) -> Policy {
    let mut policy = Policy::default();
    for (key, value) in read_map(node, "resources", errors) {
        let name = key.text.as_str();
        if name == "cores" {
            match amount(name, value) {
                Ok(cores) => policy.cores = Some(cores.max(1) as usize),
                Err(error) => errors.push(error),
            }
        } else if BUILT_IN.contains(&name) || pools.contains_key(name) {
            match amount(name, value) {
                Ok(units) => {
                    policy.pools.insert(name.to_owned(), units);
                }
                Err(error) => errors.push(error),
            }
        } else {
            let error = SpecError::at(key.span.clone(), format!("there is no pool `{name}`"));
            let names = BUILT_IN.into_iter().chain(["cores"]);
            errors.push(error.choices(name, names.chain(pools.keys().map(String::as_str))));
        }
    }
    if let Some(value) = node.get("retries")
        && let Err(error) = read_retries(value, &mut policy)
    {
        errors.push(error);
    }
    if let Some(value) = node.get("timeout") {
        match duration(value) {
            Ok(timeout) => policy.timeout = Some(timeout),
            Err(error) => errors.push(error),
        }
    }
    policy
}

/// `retries: 2`, or `retries: { times: 2, wait: 10s }`.
fn read_retries(node: &Node, policy: &mut Policy) -> Result<(), SpecError> {
    let count = |node: &Node| match node.whole() {
        Some(n) if (0..=1000).contains(&n) => Ok(n as u32),
        _ => {
            let message = format!(
                "expected a number of retries from 0 to 1000, found {}",
                node.describe()
            );
            Err(SpecError::at(node.span.clone(), message))
        }
    };
    let Value::Map(entries) = &node.value else {
        policy.retries = count(node)?;
        return Ok(());
    };
    for (key, value) in entries {
        match key.text.as_str() {
            "times" => policy.retries = count(value)?,
            "wait" => policy.wait = duration(value)?,
            other => {
                let message = format!("unknown key `{other}` in `retries`");
                let error = SpecError::at(key.span.clone(), message);
                return Err(error.choices(other, ["times", "wait"].into_iter()));
            }
        }
    }
    Ok(())
}

fn duration(node: &Node) -> Result<Duration, SpecError> {
    let parsed = match node.number() {
        Some(number) => Duration::try_from_secs_f64(number.double).ok(),
        None => node.text().and_then(parse_duration),
    };
    parsed.filter(|d| !d.is_zero()).ok_or_else(|| {
        let message = format!("expected a duration above 0, found {}", node.describe());
        SpecError::at(node.span.clone(), message).help("such as `90s`, `15m` or `2h`")
    })
}

fn amount(name: &str, node: &Node) -> Result<u64, SpecError> {
    let parsed = match &node.value {
        Value::Text(text) if name == "mem" => parse_bytes(text),
        _ => node.whole().and_then(|n| u64::try_from(n).ok()),
    };
    parsed.ok_or_else(|| {
        let expected = if name == "mem" {
            "a size, such as `512MB` or `4GiB`"
        } else {
            "an integer from 0"
        };
        let message = format!("expected {expected}, found {}", node.describe());
        SpecError::at(node.span.clone(), message)
    })
}
