//! The action: all that can change a node's output bytes, and its key.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::stage::{Stage, StageId};

/// Domain of the key. Part of the cache format: see docs/cache-format.md.
const KEY_CONTEXT: &str = "cpipe action v1";

/// All that can change a node's output bytes, and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Behaviour and its version.
    pub stage: StageId,
    /// Resolved parameters.
    pub params: Value,
    /// Input name → digest or pin. A name is `role/output`, or `role[cell]/output` where the stage
    /// can be told which cell an input belongs to.
    pub inputs: BTreeMap<String, String>,
    /// Declared environment variables.
    pub environment: BTreeMap<String, String>,
}

/// Identifies an [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionKey(pub Digest);

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Action {
    /// The action of `stage` on these inputs.
    pub fn new(stage: &dyn Stage, inputs: BTreeMap<String, String>) -> Self {
        Self {
            stage: stage.id(),
            params: sorted(stage.params()),
            inputs,
            environment: stage.environment(),
        }
    }

    /// The action as JSON with sorted keys: the bytes that are hashed.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an action is plain data")
    }

    /// BLAKE3 of the canonical bytes, in derive-key mode.
    pub fn key(&self) -> ActionKey {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
        hasher.update(&self.canonical());
        ActionKey(Digest::from_hash(hasher.finalize()))
    }
}

/// Sorts object keys at every depth: the order of a JSON map depends on how `serde_json` was built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<String, Value> =
                map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn action() -> Action {
        Action {
            stage: StageId {
                name: "chunk".into(),
                version: 1,
            },
            params: sorted(json!({"count": 32, "bytes": 2048})),
            inputs: BTreeMap::from([("source/files".into(), "ab".repeat(32))]),
            environment: BTreeMap::new(),
        }
    }

    #[test]
    fn a_key_is_pinned_so_that_a_change_of_format_is_noticed() {
        let key = "40ba21914594ff64";
        assert!(
            action().key().to_string().starts_with(key),
            "{}",
            action().key()
        );
    }

    #[test]
    fn every_part_changes_the_key() {
        let base = action().key();
        let mut other = action();
        other.stage.version = 2;
        assert_ne!(other.key(), base);
        let mut other = action();
        other.stage.name = "cut".into();
        assert_ne!(other.key(), base);
        let mut other = action();
        other.params = json!({"count": 33, "bytes": 2048});
        assert_ne!(other.key(), base);
        let mut other = action();
        other.inputs.insert("source/files".into(), "cd".repeat(32));
        assert_ne!(other.key(), base);
        let mut other = action();
        other.environment.insert("LANG".into(), "C".into());
        assert_ne!(other.key(), base);
    }

    #[test]
    fn the_order_of_parameters_does_not_change_the_key() {
        let mut other = action();
        other.params = sorted(json!({"bytes": 2048, "count": 32}));
        assert_eq!(other.key(), action().key());
    }
}
