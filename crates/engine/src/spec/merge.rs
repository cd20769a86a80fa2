//! Profiles and `--set`: changes to the document before anything is read from it.

use super::error::SpecError;
use super::tree::{self, Key, Node, Value};

/// Merges the chosen profile into the document; returns its name.
pub(crate) fn apply_profile(
    document: &mut Node,
    wanted: Option<&str>,
) -> Result<Option<String>, SpecError> {
    let default = document.get("default_profile").and_then(Node::scalar_text);
    let Some(name) = wanted.map(str::to_owned).or(default) else {
        return Ok(None);
    };
    let span = document
        .get("default_profile")
        .map(|node| node.span.clone());
    let profiles = document.get("profiles");
    let Some(profile) = profiles.and_then(|p| p.get(&name)).cloned() else {
        let names = profiles.map(Node::entries).unwrap_or_default();
        let error = SpecError {
            span: span.filter(|_| wanted.is_none()),
            ..SpecError::general(format!("there is no profile `{name}`"))
        };
        return Err(error.choices(&name, names.iter().map(|(key, _)| key.text.as_str())));
    };
    for (key, section) in profile.entries() {
        if !["vars", "matrix", "sources"].contains(&key.text.as_str()) {
            let error = SpecError::at(
                key.span.clone(),
                format!("unknown key `{}` in a profile", key.text),
            );
            return Err(error.choices(&key.text, ["vars", "matrix", "sources"].into_iter()));
        }
        merge_section(document, key, section);
    }
    Ok(Some(name))
}

/// Entries of the profile's section replace those of the document by name.
fn merge_section(document: &mut Node, key: &Key, section: &Node) {
    if document.get(&key.text).is_none() {
        push(document, key.clone(), section.clone());
        return;
    }
    if let Some(target) = document.get_mut(&key.text) {
        for (name, value) in section.entries() {
            put(target, name.clone(), value.clone());
        }
    }
}

fn put(map: &mut Node, key: Key, value: Node) {
    match map.get_mut(&key.text) {
        Some(old) => *old = value,
        None => push(map, key, value),
    }
}

fn push(map: &mut Node, key: Key, value: Node) {
    if !matches!(map.value, Value::Map(_)) {
        map.value = Value::Map(Vec::new());
    }
    if let Value::Map(entries) = &mut map.value {
        entries.push((key, value));
    }
}

/// Applies `--set KEY=VALUE`: a variable's name, or a dotted path to a value that is there.
pub(crate) fn apply_sets(document: &mut Node, sets: &[(String, String)]) -> Result<(), SpecError> {
    for (key, text) in sets {
        let value = tree::parse(text)
            .map_err(|e| SpecError::general(format!("--set {key}: {}", e.message)))?;
        let path: Vec<&str> = if key.contains('.') {
            key.split('.').collect()
        } else {
            vec!["vars", key]
        };
        set(document, &path, key, value)?;
    }
    Ok(())
}

fn set(document: &mut Node, path: &[&str], key: &str, value: Node) -> Result<(), SpecError> {
    let mut node = document;
    for (depth, step) in path.iter().enumerate() {
        let last = depth + 1 == path.len();
        let names: Vec<String> = node.entries().iter().map(|(k, _)| k.text.clone()).collect();
        // A stage's parameter may be left to its default in the file and still be set.
        let is_parameter = last && path.len() == 5 && path[0] == "stages" && path[2] == "run";
        if is_parameter && !names.iter().any(|name| name == step) {
            let span = node.span.clone();
            push(
                node,
                Key {
                    text: (*step).to_owned(),
                    span: span.clone(),
                },
                value.moved_to(&span),
            );
            return Ok(());
        }
        node = node.get_mut(step).ok_or_else(|| {
            SpecError::general(format!("--set {key}: there is no `{step}`"))
                .choices(step, names.iter().map(String::as_str))
        })?;
    }
    *node = value.moved_to(&node.span);
    Ok(())
}
