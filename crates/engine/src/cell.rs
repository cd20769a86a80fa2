//! A cell: one choice per axis.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One value for each of some axes, such as `model=nano-25k,step=64`.
///
/// Values are the text that stands in pipeline.yaml. The pairs keep the order in which the matrix
/// declares its axes when displayed by a node; comparison and hashing use the ordered map.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cell(pub BTreeMap<String, String>);

impl Cell {
    /// The value on `axis`, if the cell has one.
    pub fn get(&self, axis: &str) -> Option<&str> {
        self.0.get(axis).map(String::as_str)
    }

    /// Whether both cells agree on every axis that both have.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.0
            .iter()
            .all(|(axis, value)| other.get(axis).is_none_or(|v| v == value))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (axis, value)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{axis}={value}")?;
        }
        Ok(())
    }
}
