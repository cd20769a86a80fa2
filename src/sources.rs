//! cpipe.lock: finding out what remote sources are before a run, remembering what local ones were after it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cpipe_corpus::{CorpusError, Fetcher, HttpError};
use cpipe_engine::lock::{LocalSource, Lock, Locked};
use cpipe_engine::places::{self, Places};
use cpipe_engine::run::Summary;
use cpipe_engine::spec::{Pipeline, SourceEntry, SpecError};
use cpipe_engine::{EngineError, regular};
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
    let text = match regular::read_text(&path) {
        Ok(text) => text,
        Err(EngineError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(Lock::default());
        }
        Err(error) => return Err(error.into()),
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

/// The local sources: how cpipe.lock calls each, where it is, and whether its digest is declared.
fn local(pipeline: &Pipeline) -> BTreeMap<LocalSource, (PathBuf, bool)> {
    let mut local = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut add = |name: Option<&String>, path: &Path, written: String, is_pinned: bool| {
        let source = LocalSource {
            name: name.cloned(),
            path: written,
        };
        local.insert(source, (path.to_owned(), is_pinned));
    };
    for (name, entry) in &pipeline.sources {
        if let Some(path) = entry.path() {
            named.insert(path);
            let line = entry.line.as_ref();
            let is_absolute = line.is_some_and(|line| Path::new(&line.path).is_absolute());
            let written = if is_absolute {
                // Also below the pipeline's folder, which may move while the text stays.
                places::hash(path)
            } else {
                as_written(&pipeline.root, path)
            };
            add(Some(name), path, written, entry.pin.is_some());
        }
    }
    // What a command names under `files` has no name but its path.
    let nodes = pipeline.graph.dag.node_weights();
    for source in nodes.flat_map(|node| node.work.sources()) {
        if !named.contains(source.path.as_path()) {
            let written = as_written(&pipeline.root, &source.path);
            add(None, &source.path, written, source.pin.is_some());
        }
    }
    local
}

/// Relative to the pipeline file, as in the pipeline file; an absolute path elsewhere as its hash.
fn as_written(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).ok().and_then(Path::to_str);
    relative.map_or_else(|| Places::below(root).name(path), str::to_owned)
}

/// What the local sources without a declared digest were last seen to be.
pub(crate) fn seen(lock: &Lock, pipeline: &Pipeline) -> BTreeMap<PathBuf, String> {
    let known = |(source, (path, is_pinned)): (LocalSource, (PathBuf, bool))| {
        let digest = lock.seen(&source).filter(|_| !is_pinned)?;
        Some((path, digest.clone()))
    };
    local(pipeline).into_iter().filter_map(known).collect()
}

/// Remembers what the sources of nodes that are up to date now are, where that is new. A lock that
/// cannot be written stops nothing.
pub(crate) fn remember(session: &Session, summary: &Summary) -> Result<(), CliError> {
    let known = session.lock();
    let news = |(source, (path, is_pinned)): (LocalSource, (PathBuf, bool))| {
        // A digest that is declared takes the place of what was seen: the two must not differ later.
        let digest = summary.seen.get(&path).filter(|_| !is_pinned);
        let is_new = known.seen(&source) != digest && (is_pinned || digest.is_some());
        is_new.then(|| (source, digest.cloned()))
    };
    let news: Vec<_> = local(&session.pipeline)
        .into_iter()
        .filter_map(news)
        .collect();
    if news.is_empty() {
        return Ok(());
    }
    // Read again: another run may have written to it.
    let root = &session.pipeline.root;
    let mut lock = read_lock(root)?;
    for (source, digest) in news {
        lock.see(source, digest);
    }
    let written = lock.write(&lock_path(root));
    if let (Err(error), true) = (written, summary.executed > 0) {
        warn(&error);
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "talk, not data")]
fn warn(error: &cpipe_engine::EngineError) {
    eprintln!(
        "warning: {error}; a copy of this folder without its sources will not know what they were"
    );
}
