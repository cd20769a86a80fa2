//! Damage that leaves valid JSON: other values in place of those of a file.

use proptest::prelude::*;
use serde_json::{Value, json};

/// A place in a tree of values, and what stands there instead.
#[derive(Clone, Debug)]
pub(crate) struct Swap {
    /// Which child is taken at each level, as a part of all.
    path: Vec<f64>,
    value: Value,
}

impl Swap {
    fn apply(&self, tree: &mut Value) {
        let mut place = tree;
        for part in &self.path {
            let count = match &*place {
                Value::Object(map) => map.len(),
                Value::Array(list) => list.len(),
                _ => 0,
            };
            if count == 0 {
                break;
            }
            let at = (count as f64 * part) as usize;
            let child = match place {
                Value::Object(map) => map.values_mut().nth(at),
                Value::Array(list) => list.get_mut(at),
                _ => None,
            };
            place = child.expect("a part of all is below their number");
        }
        *place = self.value.clone();
    }
}

fn value() -> impl Strategy<Value = Value> {
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(3),
        json!(1 << 20),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e-300),
        json!(1e300),
        json!(0.5),
        json!(""),
        json!("a"),
        json!("é▁"),
        json!("(a+)+$|(?=b)"),
        json!("linear"),
        json!("Sequence"),
        json!([]),
        json!([[], {}]),
        json!({}),
        json!({"type": "linear", "factor": -4}),
        json!({"String": ""}),
        json!({"Regex": ""}),
        json!({"type": "Split", "pattern": {"Regex": "(?=)"}, "behavior": "Removed", "invert": true}),
    ];
    prop::sample::select(odd.to_vec())
}

/// A few swaps, one after the other.
pub(crate) fn swaps() -> impl Strategy<Value = Vec<Swap>> {
    let path = prop::collection::vec(0.0..1.0, 1..5);
    let swap = (path, value()).prop_map(|(path, value)| Swap { path, value });
    prop::collection::vec(swap, 1..4)
}

/// The file after all of them.
pub(crate) fn swapped(whole: &[u8], swaps: &[Swap]) -> Vec<u8> {
    let mut tree = serde_json::from_slice(whole).unwrap();
    for swap in swaps {
        swap.apply(&mut tree);
    }
    serde_json::to_vec(&tree).unwrap()
}
