//! Sources that hold what cpipe writes: their content would change with every run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cpipe_engine::spec::SpecError;

use crate::error::CliError;
use crate::session::Session;

/// Refuses local sources, and `files` of commands, that hold the cache or the outputs.
pub(crate) fn check(session: &Session) -> Result<(), CliError> {
    let written = written(session);
    let mut errors = Vec::new();
    for (path, (what, span)) in read(session) {
        // What is gone holds nothing.
        let Ok(real) = std::fs::canonicalize(&path) else {
            continue;
        };
        if let Some((held, _)) = written.iter().find(|(_, place)| place.starts_with(&real)) {
            errors.push(SpecError {
                message: format!("{what} holds the {held} itself: {}", path.display()),
                span: Some(span),
                label: None,
                help: Some("name a folder below it that holds only what is to be read".into()),
            });
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(CliError::spec(&session.path, &session.text, &errors))
}

/// Where cpipe writes, links followed.
fn written(session: &Session) -> Vec<(&'static str, PathBuf)> {
    let cache = session.cache.root();
    let outputs = session.workspace().outputs;
    vec![
        ("cache", real(cache.parent().unwrap_or(cache))),
        ("outputs folder", real(&outputs)),
    ]
}

/// The path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = std::fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

/// Every local file or folder that is read: what it is called and where it is declared.
fn read(session: &Session) -> BTreeMap<PathBuf, (String, Range<usize>)> {
    let mut read = BTreeMap::new();
    for (name, entry) in &session.pipeline.sources {
        if let Some(path) = entry.path() {
            let declared = (format!("source `{name}`"), entry.span.clone());
            read.entry(path.to_owned()).or_insert(declared);
        }
    }
    for node in session.pipeline.graph.dag.node_weights() {
        for source in node.work.sources() {
            let declared = || (format!("what {} reads", node.label()), node.span.clone());
            read.entry(source.path).or_insert_with(declared);
        }
    }
    read
}
