//! Where nodes export to: inside outputs/, and no two to the same place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path};

use super::error::SpecError;
use crate::graph::Node;

/// A folder below outputs/ in one spelling, without a way out of it.
pub(crate) fn safe_folder(text: &str, span: &Range<usize>) -> Result<String, SpecError> {
    let mut parts = Vec::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            _ => return Err(not_below(text, span)),
        }
    }
    if text.is_empty() || text.contains(char::is_control) {
        return Err(not_below(text, span));
    }
    if parts.is_empty() {
        return Ok(".".to_owned());
    }
    Ok(parts.join("/"))
}

fn not_below(text: &str, span: &Range<usize>) -> SpecError {
    let message = format!("`{text}` is not a folder below outputs/");
    SpecError::at(span.clone(), message).help("`.` is outputs/ itself")
}

/// Finds nodes that put an output where another's lies, or below it; one error for each stage.
pub(crate) fn check<'n>(nodes: impl Iterator<Item = &'n Node>) -> Vec<SpecError> {
    let mut owners: BTreeMap<String, &Node> = BTreeMap::new();
    let mut clashes = Vec::new();
    for node in nodes {
        for (path, _) in node.exports() {
            if let Some(other) = owners.get(&path) {
                clashes.push((path, *other, node));
            } else {
                owners.insert(path, node);
            }
        }
    }
    for (path, node) in &owners {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let clash = above.filter_map(|folder| owners.get_key_value(folder));
        clashes.extend(clash.map(|(folder, other)| (folder.clone(), *other, *node)));
    }
    let mut told = BTreeSet::new();
    clashes
        .into_iter()
        .filter(|(_, _, node)| told.insert(&node.stage))
        .map(|(path, other, node)| {
            let (one, two) = (other.label(), node.label());
            let message = format!("{one} and {two} both export to outputs/{path}");
            SpecError::at(node.span.clone(), message)
                .help("name the axis in `export`, such as `cells/${modality}`")
        })
        .collect()
}
