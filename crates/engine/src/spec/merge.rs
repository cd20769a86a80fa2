//! Profiles and `--set`: changes to the document before anything is read from it.

use super::error::SpecError;
use super::file::check_keys;
use super::tree::{self, Key, Node, Value};

/// What a profile may change, entry by entry.
const SECTIONS: [&str; 5] = ["vars", "matrix", "sources", STAGES, "report"];
const STAGES: &str = "stages";

/// Merges the chosen profile into the document; returns its name.
pub(crate) fn apply_profile(
    document: &mut Node,
    wanted: Option<&str>,
    errors: &mut Vec<SpecError>,
) -> Option<String> {
    let profiles = sections_of(document, errors)?;
    let default = document.get("default_profile").cloned();
    let name = match (wanted, default.as_ref().and_then(Node::text)) {
        (Some(name), _) => name.to_owned(),
        (None, default) => default?.to_owned(),
    };
    let Some((_, profile)) = profiles.iter().find(|(key, _)| key.text == name) else {
        let error = SpecError {
            span: default.map(|node| node.span).filter(|_| wanted.is_none()),
            ..SpecError::general(format!("there is no profile `{name}`"))
        };
        errors.push(error.choices(&name, profiles.iter().map(|(key, _)| key.text.as_str())));
        return None;
    };
    for (key, section) in profile.entries() {
        if SECTIONS.contains(&key.text.as_str()) {
            merge_section(document, key, section, errors);
        }
    }
    Some(name)
}

/// All profiles, every mistake in their shape told of. None if they are no mapping.
fn sections_of(document: &Node, errors: &mut Vec<SpecError>) -> Option<Vec<(Key, Node)>> {
    let Some(profiles) = document.get("profiles") else {
        return Some(Vec::new());
    };
    let mapping = |node: &Node, name: &str, errors: &mut Vec<SpecError>| {
        let is_mapping = node.is_map_or_null();
        if !is_mapping {
            let message = format!(
                "expected a mapping under `{name}`, found {}",
                node.describe()
            );
            errors.push(SpecError::at(node.span.clone(), message));
        }
        is_mapping
    };
    if !mapping(profiles, "profiles", errors) {
        return None;
    }
    for (key, profile) in profiles.entries() {
        mapping(profile, &key.text, errors);
        check_keys(profile, &SECTIONS, "a profile", errors);
        for (section, node) in profile.entries() {
            if SECTIONS.contains(&section.text.as_str()) {
                mapping(node, &section.text, errors);
            }
        }
    }
    Some(profiles.entries().to_vec())
}

/// Entries of the profile's section replace those of the document by name; a stage that is `null`
/// there is taken out.
fn merge_section(document: &mut Node, key: &Key, section: &Node, errors: &mut Vec<SpecError>) {
    if document.get(&key.text).is_none() {
        let value = Value::Map(Vec::new());
        let span = section.span.clone();
        push(document, key.clone(), Node { span, value });
    }
    let Some(target) = document.get_mut(&key.text) else {
        return;
    };
    for (name, value) in section.entries() {
        if key.text == STAGES && value.is_null() {
            errors.extend(take_out(target, name));
        } else {
            put(target, name.clone(), value.clone());
        }
    }
}

/// Removes a stage; what is not there can't be removed.
fn take_out(stages: &mut Node, name: &Key) -> Option<SpecError> {
    let Value::Map(entries) = &mut stages.value else {
        return None;
    };
    let before = entries.len();
    entries.retain(|(key, _)| key.text != name.text);
    if entries.len() < before {
        return None;
    }
    let message = format!("there is no stage `{}` to take out", name.text);
    let names = entries.iter().map(|(key, _)| key.text.as_str());
    Some(SpecError::at(name.span.clone(), message).choices(&name.text, names))
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
pub(crate) fn apply_sets(
    document: &mut Node,
    sets: &[(String, String)],
    errors: &mut Vec<SpecError>,
) {
    for (key, text) in sets {
        if let Err(error) = apply_set(document, key, text) {
            errors.push(error);
        }
    }
}

fn apply_set(document: &mut Node, key: &str, text: &str) -> Result<(), SpecError> {
    let refuse = |message: &str| SpecError::general(format!("--set {key}: {message}"));
    if text.trim().is_empty() {
        return Err(refuse("the value is missing"));
    }
    let value = tree::parse_value(text).map_err(|e| refuse(&e.message))?;
    if let Some(message) = loss(text, &value) {
        let help = format!("quote a text: `--set '{key}=\"…\"'`; `null` is nothing");
        return Err(refuse(message).help(help));
    }
    let path: Vec<&str> = if key.contains('.') {
        key.split('.').collect()
    } else {
        vec!["vars", key]
    };
    if path[0] == "profiles" {
        let help = "set what the profile sets, such as `matrix.AXIS=[…]`";
        return Err(refuse("profiles are applied before `--set`").help(help));
    }
    set(document, &path, key, value)
}

/// What of the text would be lost in silence, as YAML reads it.
fn loss(text: &str, value: &Node) -> Option<&'static str> {
    let means_null = ["null", "Null", "NULL", "~"].contains(&text.trim());
    if has_comment(text, value) {
        Some("the value has a comment in it, which YAML passes over")
    } else if value.is_null() && !means_null {
        Some("YAML reads the value as nothing")
    } else {
        None
    }
}

/// Whether some `#` begins a comment: a character behind it changes nothing.
fn has_comment(text: &str, value: &Node) -> bool {
    let value = value.moved_to(&(0..0));
    text.match_indices('#').any(|(at, _)| {
        let (before, after) = text.split_at(at + 1);
        let changed = tree::parse_value(&format!("{before}x{after}"));
        changed.is_ok_and(|changed| changed.moved_to(&(0..0)) == value)
    })
}

fn set(document: &mut Node, path: &[&str], key: &str, value: Node) -> Result<(), SpecError> {
    let mut node = document;
    for (depth, step) in path.iter().enumerate() {
        let last = depth + 1 == path.len();
        if last && may_be_added(path, node) && node.get(step).is_none() {
            let span = node.span.clone();
            let text = (*step).to_owned();
            let value = value.moved_to(&span);
            push(node, Key { text, span }, value);
            return Ok(());
        }
        let names: Vec<String> = node.entries().iter().map(|(k, _)| k.text.clone()).collect();
        node = node.get_mut(step).ok_or_else(|| {
            SpecError::general(format!("--set {key}: there is no `{step}`"))
                .choices(step, names.iter().map(String::as_str))
        })?;
    }
    *node = value.moved_to(&node.span);
    Ok(())
}

/// A stage's parameter may be left to its default in the file and still be set.
fn may_be_added(path: &[&str], parent: &Node) -> bool {
    let is_parameter = path.len() == 5 && path[0] == "stages" && path[2] == "run";
    is_parameter && parent.is_map_or_null()
}
