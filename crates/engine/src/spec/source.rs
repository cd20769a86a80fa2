//! The `sources:` section: named content, with the digest that it must have.
//!
//! A source is a local `path`, a file at a `url`, or files of a repository on the `hub`. A name with
//! axes in it, such as `weights/${model}`, stands for one source per cell of these axes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::SpecError;
use super::file::{File, check_keys};
use super::remote::{self, HubSource, Unpack, UrlSource};
use super::tree::{Key, Node, Value};
use super::vars::Scope;
use crate::digest::{Algorithm, Pin};
use crate::lock::{Lock, Locked};

/// A named source.
#[derive(Clone, Debug)]
pub struct SourceEntry {
    /// Where it lies.
    pub location: Location,
    /// The digest of its content; of something remote that nobody has looked at yet, none.
    pub pin: Option<Pin>,
    /// Where the digest stands in the pipeline file.
    pub pin_span: Option<Range<usize>>,
    /// Of a local source, the line that a digest belongs to.
    pub line: Option<PinLine>,
    /// Where the source stands in the pipeline file.
    pub span: Range<usize>,
    /// What is on record in cpipe.lock for it.
    pub locked: Option<Locked>,
}

/// What is written of a local source, to put a digest there. Several sources may share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinLine {
    /// The path, variables replaced.
    pub path: String,
    /// Where `path` stands as a key.
    pub key: Range<usize>,
    /// Where the path stands.
    pub value: Range<usize>,
    /// Where the digest's own key stands, if there is one.
    pub digest_key: Option<Range<usize>>,
    /// Where the last of the digests by path stands; none if there is one digest, or no digest.
    pub last_of_several: Option<Range<usize>>,
}

/// Where a source lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A local file or folder, absolute.
    Path(PathBuf),
    /// A file on a web server.
    Url(UrlSource),
    /// Files of a repository.
    Hub(HubSource),
}

impl SourceEntry {
    /// The local file or folder, unless it lies elsewhere.
    pub fn path(&self) -> Option<&Path> {
        match &self.location {
            Location::Path(path) => Some(path),
            _ => None,
        }
    }
}

/// Every source that is named; one with a mistake is there too, so that it is told of once.
pub(crate) fn read(
    root: &Path,
    file: &File<'_>,
    lock: &Lock,
    errors: &mut Vec<SpecError>,
) -> BTreeMap<String, SourceEntry> {
    let mut sources = BTreeMap::new();
    for (key, node) in file.sources {
        for (name, scope) in names_of(key, file, errors) {
            let before = errors.len();
            let mut reader = Reader { root, lock, errors };
            let entry = reader.entry(&name, key, node, &scope);
            let failed = errors.len() > before;
            sources.insert(name, entry);
            if failed {
                // The same mistake in every cell is told once.
                break;
            }
        }
    }
    sources
}

/// The names that a key stands for, each with what its variables mean.
fn names_of<'s>(
    key: &Key,
    file: &'s File<'_>,
    errors: &mut Vec<SpecError>,
) -> Vec<(String, Scope<'s>)> {
    let named = |axis: &&str| key.text.contains(&format!("${{{axis}}}"));
    let axes: Vec<&str> = file.matrix.names().filter(named).collect();
    let choices = if axes.is_empty() {
        vec![Vec::new()]
    } else {
        file.matrix.cells(&axes)
    };
    let mut names = Vec::new();
    for axes in choices {
        let scope = Scope {
            vars: file.vars,
            axes,
            absent: Vec::new(),
        };
        match scope.interpolate(&key.text, &key.span) {
            Ok(name) => names.push((name, scope)),
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    names
}

struct Reader<'r> {
    root: &'r Path,
    lock: &'r Lock,
    errors: &'r mut Vec<SpecError>,
}

impl Reader<'_> {
    fn entry(&mut self, name: &str, key: &Key, node: &Node, scope: &Scope<'_>) -> SourceEntry {
        let mut entry = SourceEntry {
            location: Location::Path(self.root.to_owned()),
            pin: None,
            pin_span: None,
            line: None,
            span: key.span.clone(),
            locked: None,
        };
        if let Err(error) = self.fill(name, node, scope, &mut entry) {
            self.errors.push(error);
        }
        entry
    }

    fn fill(
        &mut self,
        name: &str,
        node: &Node,
        scope: &Scope<'_>,
        entry: &mut SourceEntry,
    ) -> Result<(), SpecError> {
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("expected a mapping for a source, found {}", node.describe());
            let error = SpecError::at(node.span.clone(), message);
            return Err(error.help("for example `{ path: FILE }` or `{ url: https://… }`"));
        }
        let kinds = ["path", "url", "hub"];
        let given: Vec<&str> = kinds
            .into_iter()
            .filter(|k| node.get(k).is_some())
            .collect();
        let [kind] = given.as_slice() else {
            let found = if given.is_empty() { "none" } else { "several" };
            let message =
                format!("source `{name}` needs one of `path`, `url` and `hub`, has {found}");
            return Err(SpecError::at(node.span.clone(), message));
        };
        let keys: &[&str] = match *kind {
            "path" => &["path", "blake3", "sha256"],
            "url" => &remote::URL_KEYS,
            _ => &remote::HUB_KEYS,
        };
        check_keys(
            node,
            keys,
            &format!("a source with a `{kind}`"),
            self.errors,
        );
        let node = &scope.substitute(node)?;
        let path = match *kind {
            "path" => Some(read_path(node)?),
            _ => None,
        };
        let (pin, pin_span) = read_pin(name, node, path.as_deref())?.unzip();
        match *kind {
            "path" => {
                let path = path.unwrap_or_default();
                entry.location = Location::Path(self.root.join(&path));
                entry.line = pin_line(node, path);
                (entry.pin, entry.pin_span) = (pin, pin_span);
            }
            "url" => self.fill_url(name, remote::read_url(node, pin)?, entry),
            _ => self.fill_hub(name, remote::read_hub(node)?, entry),
        }
        Ok(())
    }

    /// A file that is not unpacked is pinned by its declared digest, everything else by the lock.
    fn fill_url(&self, name: &str, url: UrlSource, entry: &mut SourceEntry) {
        entry.locked = self.lock.of_url(name, &url).cloned();
        entry.pin = entry.locked.as_ref().map(|locked| locked.digest.clone());
        if let (Unpack::None, Some(digest)) = (url.unpack, &url.digest) {
            let file = (url.file_name().to_owned(), digest.hex.clone());
            entry.pin = Some(Pin::of_files(digest.algorithm, [file]));
        }
        entry.location = Location::Url(url);
    }

    fn fill_hub(&self, name: &str, hub: HubSource, entry: &mut SourceEntry) {
        entry.locked = self.lock.of_hub(name, &hub).cloned();
        entry.pin = entry.locked.as_ref().map(|locked| locked.digest.clone());
        entry.location = Location::Hub(hub);
    }
}

fn read_path(node: &Node) -> Result<String, SpecError> {
    let path = node.get("path").unwrap_or(node);
    path.text().map(str::to_owned).ok_or_else(|| {
        let message = format!("expected a path, found {}", path.describe());
        SpecError::at(path.span.clone(), message)
    })
}

/// Where a digest of the source belongs.
fn pin_line(node: &Node, path: String) -> Option<PinLine> {
    let place = |wanted: &[&str]| {
        let mut entries = node.entries().iter();
        entries.find(|(key, _)| wanted.contains(&key.text.as_str()))
    };
    let (key, value) = place(&["path"])?;
    let digest = place(&["blake3", "sha256"]);
    let last = digest.and_then(|(_, digests)| digests.entries().last());
    Some(PinLine {
        path,
        key: key.span.clone(),
        value: value.span.clone(),
        digest_key: digest.map(|(key, _)| key.span.clone()),
        last_of_several: last.map(|(_, hex)| hex.span.clone()),
    })
}

/// The declared digest; of a local source, where there is one for each path, that of its own.
fn read_pin(
    name: &str,
    node: &Node,
    path: Option<&str>,
) -> Result<Option<(Pin, Range<usize>)>, SpecError> {
    let (hex, algorithm) = match (node.get("blake3"), node.get("sha256")) {
        (Some(_), Some(second)) => {
            let message = format!("source `{name}` has two digests");
            return Err(SpecError::at(second.span.clone(), message).help("keep one of them"));
        }
        (Some(hex), None) => (hex, Algorithm::Blake3),
        (None, Some(hex)) => (hex, Algorithm::Sha256),
        (None, None) => return Ok(None),
    };
    let hex = match (&hex.value, path) {
        (Value::Map(digests), Some(path)) => {
            for (_, other) in digests {
                read_hex(other)?;
            }
            let mut own = digests.iter().filter(|(key, _)| key.text == path);
            own.next().map(|(_, hex)| hex)
        }
        _ => Some(hex),
    };
    let pin = |hex: &Node| {
        let pin = Pin {
            algorithm,
            hex: read_hex(hex)?,
        };
        Ok((pin, hex.span.clone()))
    };
    hex.map(pin).transpose()
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
    let help = "put 64 zeros in quotes there and run `cpipe update` to have it filled in";
    Err(SpecError::at(node.span.clone(), message).help(help))
}
