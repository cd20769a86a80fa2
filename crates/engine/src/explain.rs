//! Reasons: why a node is not up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::action::Action;

/// One difference between an action and the nearest earlier one of the same node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What differs, such as `params.count` or `input tokens/tokens.bin`.
    pub what: String,
    /// The earlier value; none if it is new.
    pub old: Option<String>,
    /// The value now; none if it is gone.
    pub new: Option<String>,
}

/// Why a node has to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No action of this node is on record.
    NeverRan,
    /// Its action differs from the one on record.
    Changed(Vec<Change>),
    /// The same action ran before, but its record or its outputs are gone from the cache.
    Lost,
    /// `--force`.
    Forced,
    /// The attempt before this one, by number, failed.
    Retried(u32),
    /// An input will be made first, so the key can't be known yet.
    Waits(String),
}

impl Reason {
    /// Compares an action with the last one recorded for its node.
    pub fn between(earlier: Option<&Action>, now: &Action) -> Self {
        let Some(earlier) = earlier else {
            return Self::NeverRan;
        };
        let changes = changes(earlier, now);
        if changes.is_empty() {
            Self::Lost
        } else {
            Self::Changed(changes)
        }
    }
}

/// Every part in which two actions differ, by name.
pub fn changes(earlier: &Action, now: &Action) -> Vec<Change> {
    differences(&flatten(earlier), &flatten(now))
}

/// Every name whose text differs, or that only one side has.
pub fn differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| Change {
            what: name.clone(),
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
        })
        .collect()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRan => f.write_str("never ran"),
            Self::Lost => f.write_str("its outputs are no longer in the cache"),
            Self::Forced => f.write_str("forced"),
            Self::Retried(attempt) => write!(f, "attempt {attempt}"),
            Self::Waits(node) => write!(f, "waits for {node}"),
            Self::Changed(changes) => {
                let shown: Vec<String> = changes.iter().take(3).map(Change::to_string).collect();
                f.write_str(&shown.join(", "))?;
                match changes.len().saturating_sub(3) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{what}: {} → {}", short(old), short(new)),
            (None, Some(new)) => write!(f, "{what}: new, {}", short(new)),
            (Some(old), None) => write!(f, "{what}: gone, was {}", short(old)),
            (None, None) => f.write_str(what),
        }
    }
}

/// The first digits of a digest, or the value itself.
fn short(value: &str) -> &str {
    let is_hex = value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex { &value[..12] } else { value }
}

fn flatten(action: &Action) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::from([
        ("stage".to_owned(), action.stage.name.clone()),
        ("stage version".to_owned(), action.stage.version.to_string()),
    ]);
    flatten_value("params", &action.params, &mut parts);
    for (name, digest) in &action.inputs {
        parts.insert(format!("input {name}"), digest.clone());
    }
    for (name, value) in &action.environment {
        parts.insert(format!("environment {name}"), value.clone());
    }
    parts
}

fn flatten_value(path: &str, value: &Value, parts: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten_value(&format!("{path}.{key}"), value, parts);
            }
        }
        Value::String(text) => {
            parts.insert(path.to_owned(), text.clone());
        }
        other => {
            parts.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::StageId;
    use serde_json::json;

    fn action(params: Value, input: &str) -> Action {
        Action {
            stage: StageId {
                name: "fit".into(),
                version: 1,
            },
            params,
            inputs: BTreeMap::from([("cells".into(), input.into())]),
            environment: BTreeMap::new(),
        }
    }

    #[test]
    fn a_reason_names_what_changed_with_old_and_new_value() {
        let old = action(json!({"bounds": {"alpha": 1}, "seed": 0}), "aa");
        let new = action(json!({"bounds": {"alpha": 2}, "seed": 0}), "bb");
        let reason = Reason::between(Some(&old), &new).to_string();
        assert_eq!(reason, "input cells: aa → bb, params.bounds.alpha: 1 → 2");
    }

    #[test]
    fn without_a_record_it_never_ran_and_with_an_equal_one_it_was_lost() {
        let now = action(json!({}), "aa");
        assert_eq!(Reason::between(None, &now), Reason::NeverRan);
        assert_eq!(Reason::between(Some(&now), &now), Reason::Lost);
    }
}
