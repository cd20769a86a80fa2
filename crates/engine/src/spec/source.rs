//! The `sources:` section: named files and folders, with the digests that they must have.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::SpecError;
use super::file::{File, check_keys};
use super::tree::{Key, Node, Value};
use super::vars::Scope;
use crate::digest::{Algorithm, Pin};

/// A named file or folder outside the cache.
#[derive(Clone, Debug)]
pub struct SourceEntry {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// The digest that it must have.
    pub pin: Option<Pin>,
    /// Where the digest stands in the pipeline file.
    pub pin_span: Option<Range<usize>>,
}

/// Every source that is named; one with a mistake is there too, so that it is told of once.
pub(crate) fn read(
    root: &Path,
    file: &File<'_>,
    errors: &mut Vec<SpecError>,
) -> BTreeMap<String, SourceEntry> {
    let scope = Scope {
        vars: file.vars,
        axes: Vec::new(),
        absent: Vec::new(),
    };
    let entries = file.sources.iter();
    entries
        .map(|(key, node)| {
            (
                key.text.clone(),
                read_entry(root, key, node, &scope, errors),
            )
        })
        .collect()
}

fn read_entry(
    root: &Path,
    key: &Key,
    node: &Node,
    scope: &Scope<'_>,
    errors: &mut Vec<SpecError>,
) -> SourceEntry {
    let mut entry = SourceEntry {
        path: root.to_owned(),
        pin: None,
        pin_span: None,
    };
    if !matches!(node.value, Value::Map(_)) {
        let message = format!("expected a mapping for a source, found {}", node.describe());
        let error = SpecError::at(node.span.clone(), message);
        errors.push(error.help("for example `{ path: FILE }`"));
        return entry;
    }
    check_keys(node, &["path", "blake3", "sha256"], "a source", errors);
    match read_path(&key.text, node, scope) {
        Ok(path) => entry.path = root.join(path),
        Err(error) => errors.push(error),
    }
    if node.get("path").is_none() {
        return entry;
    }
    match read_pin(&key.text, node) {
        Ok(pin) => (entry.pin, entry.pin_span) = pin.unzip(),
        Err(error) => errors.push(error),
    }
    entry
}

fn read_path(name: &str, node: &Node, scope: &Scope<'_>) -> Result<String, SpecError> {
    match node.get("path") {
        Some(Node {
            value: Value::Text(path),
            span,
        }) => scope.interpolate(path, span),
        Some(other) => {
            let message = format!("expected a path, found {}", other.describe());
            Err(SpecError::at(other.span.clone(), message))
        }
        None => {
            let message = format!("source `{name}` has no `path`");
            Err(SpecError::at(node.span.clone(), message))
        }
    }
}

fn read_pin(name: &str, node: &Node) -> Result<Option<(Pin, Range<usize>)>, SpecError> {
    let (hex, algorithm) = match (node.get("blake3"), node.get("sha256")) {
        (Some(_), Some(second)) => {
            let message = format!("source `{name}` has two digests");
            return Err(SpecError::at(second.span.clone(), message).help("keep one of them"));
        }
        (Some(hex), None) => (hex, Algorithm::Blake3),
        (None, Some(hex)) => (hex, Algorithm::Sha256),
        (None, None) => return Ok(None),
    };
    let pin = Pin {
        algorithm,
        hex: read_hex(hex)?,
    };
    Ok(Some((pin, hex.span.clone())))
}

fn read_hex(node: &Node) -> Result<String, SpecError> {
    let text = node.scalar_text().unwrap_or_default().to_lowercase();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text);
    }
    let message = format!(
        "expected a digest of 64 hexadecimal digits, found {}",
        node.describe()
    );
    let help = "put 64 zeros there and run `cpipe update` to have it filled in";
    Err(SpecError::at(node.span.clone(), message).help(help))
}
