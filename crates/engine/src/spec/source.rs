//! The `sources:` section: named files and folders, with the digests that they must have.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::SpecError;
use super::file::{File, check_keys};
use super::tree::{Node, Value};
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

pub(crate) fn read(
    root: &Path,
    file: &File<'_>,
) -> Result<BTreeMap<String, SourceEntry>, Vec<SpecError>> {
    let scope = Scope {
        vars: file.vars,
        axes: Vec::new(),
    };
    let mut errors = Vec::new();
    let mut sources = BTreeMap::new();
    for (key, node) in file.sources {
        check_keys(node, &["path", "blake3", "sha256"], "a source", &mut errors);
        match read_entry(root, &key.text, node, &scope) {
            Ok(entry) => {
                sources.insert(key.text.clone(), entry);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(sources)
    } else {
        Err(errors)
    }
}

fn read_entry(
    root: &Path,
    name: &str,
    node: &Node,
    scope: &Scope<'_>,
) -> Result<SourceEntry, SpecError> {
    let Some(Node {
        value: Value::Text(path),
        span,
    }) = node.get("path")
    else {
        let message = format!("source `{name}` has no `path`");
        return Err(SpecError::at(node.span.clone(), message));
    };
    let path = root.join(scope.interpolate(path, span)?);
    let pin = match (node.get("blake3"), node.get("sha256")) {
        (Some(_), Some(second)) => {
            let message = format!("source `{name}` has two digests");
            return Err(SpecError::at(second.span.clone(), message).help("keep one of them"));
        }
        (Some(hex), None) => Some((read_hex(hex)?, Algorithm::Blake3, hex)),
        (None, Some(hex)) => Some((read_hex(hex)?, Algorithm::Sha256, hex)),
        (None, None) => None,
    };
    let pin_span = pin.as_ref().map(|(.., node)| node.span.clone());
    let pin = pin.map(|(hex, algorithm, _)| Pin { algorithm, hex });
    Ok(SourceEntry {
        path,
        pin,
        pin_span,
    })
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
