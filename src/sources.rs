//! Remote sources before a run: finding out what they are, and cpipe.lock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cpipe_corpus::{CorpusError, Fetcher, HttpError};
use cpipe_engine::lock::{Lock, Locked};
use cpipe_engine::spec::{SourceEntry, SpecError};
use indicatif::{ProgressBar, ProgressStyle};
use petgraph::graph::NodeIndex;

use crate::error::CliError;
use crate::session::Session;

/// Where the lock of the pipelines in a folder lies.
pub(crate) fn lock_path(root: &Path) -> PathBuf {
    root.join("cpipe.lock")
}

/// Reads cpipe.lock; none is an empty one.
pub(crate) fn read_lock(root: &Path) -> Result<Lock, CliError> {
    let path = lock_path(root);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(e) => return Err(cpipe_engine::EngineError::io("read", &path, e).into()),
    };
    Lock::parse(&text).map_err(|error| CliError::spec(&path, &text, &[error]))
}

/// What looking for unknown sources came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every source was known.
    Known,
    /// The lock has more entries now.
    Found,
    /// The run is being interrupted.
    Interrupted,
}

/// Finds out what the remote sources are that `targets` need and nobody has looked at yet, and
/// writes it to the lock. With `locked` such a source is an error.
pub(crate) fn resolve(
    session: &Session,
    targets: &[NodeIndex],
    locked: bool,
    cancel: &AtomicBool,
) -> Result<Outcome, CliError> {
    let graph = &session.pipeline.graph;
    let fetches = graph.ancestors(targets).into_iter();
    let unknown: BTreeSet<String> = fetches
        .flat_map(|index| graph.dag[index].work.fetches())
        .filter(|fetch| fetch.pin.is_none())
        .map(|fetch| fetch.source)
        .collect();
    if unknown.is_empty() {
        return Ok(Outcome::Known);
    }
    if locked {
        return Err(not_locked(session, &unknown));
    }
    for name in &unknown {
        let entry = &session.pipeline.sources[name];
        match look_up(session, name, entry, cancel) {
            Ok(found) => record(session, found)?,
            Err(CorpusError::Http(HttpError::Cancelled)) => return Ok(Outcome::Interrupted),
            Err(error) => return Err(refused(session, name, &error)),
        }
    }
    Ok(Outcome::Found)
}

fn not_locked(session: &Session, names: &BTreeSet<String>) -> CliError {
    let errors: Vec<SpecError> = names
        .iter()
        .map(|name| SpecError {
            message: format!("source `{name}` is not in cpipe.lock as it is declared here"),
            span: Some(session.pipeline.sources[name].span.clone()),
            label: None,
            help: Some("run once without --locked, and commit cpipe.lock".into()),
        })
        .collect();
    CliError::spec(&session.path, &session.text, &errors)
}

/// Why a source could not be looked up, with its place in the pipeline file.
pub(crate) fn refused(session: &Session, name: &str, error: &CorpusError) -> CliError {
    let error = SpecError {
        message: format!("source `{name}`: {error}"),
        span: Some(session.pipeline.sources[name].span.clone()),
        label: None,
        help: error.hint(),
    };
    CliError::spec(&session.path, &session.text, &[error])
}

/// Asks what a source is now, with a bar while something large arrives.
pub(crate) fn look_up(
    session: &Session,
    name: &str,
    entry: &SourceEntry,
    cancel: &AtomicBool,
) -> Result<Locked, CorpusError> {
    let bar = ProgressBar::no_length();
    let style =
        ProgressStyle::with_template("{msg} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(name.to_owned());
    let progress = |done: u64, total: u64| {
        bar.set_length(total.max(done));
        bar.set_position(done);
    };
    let cancelled = || cancel.load(Ordering::Relaxed);
    let fetcher = Fetcher::new(session.cache.downloads(), &cancelled, &progress);
    let found = fetcher.resolve(name, entry);
    bar.finish_and_clear();
    found
}

/// Writes one more entry. The file is read again first: another run may have written to it.
pub(crate) fn record(session: &Session, found: Locked) -> Result<(), CliError> {
    let root = &session.pipeline.root;
    let mut lock = read_lock(root)?;
    lock.insert(found);
    lock.write(&lock_path(root))?;
    Ok(())
}
