//! Executing one action: verified inputs in, recorded outputs out, or nothing at all.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use petgraph::graph::NodeIndex;

use crate::action::{Action, ActionKey};
use crate::cache::{Cache, CacheStatus};
use crate::collect::collect;
use crate::contain;
use crate::digest::Algorithm;
use crate::error::EngineError;
use crate::event::{Event, EventSink};
use crate::graph::Node;
use crate::input_files::InputFiles;
use crate::log::Log;
use crate::manifest::{Artifact, Execution, Manifest};
use crate::plan::{Workspace, used_outputs};
use crate::stage::{
    InputArtifact, InputNode, Inputs, OutputDir, OutputKind, Programs, Report, SourceFile,
    StageContext, StageError,
};
use crate::stop::Stop;
use crate::tree::{self, Links};

/// What an execution needs besides the workspace.
pub(crate) struct Job<'j> {
    pub(crate) index: NodeIndex,
    pub(crate) action: Action,
    pub(crate) key: ActionKey,
    /// (upstream node, role, output if only one, its manifest), in the order of the graph.
    pub(crate) inputs: Vec<(NodeIndex, String, Option<String>, Manifest)>,
    pub(crate) threads: usize,
    /// An existing result does not count.
    pub(crate) anew: bool,
    /// Programs run under a tracer.
    pub(crate) trace: bool,
    pub(crate) cancel: &'j AtomicBool,
}

/// A finished execution.
pub(crate) struct Executed {
    pub(crate) manifest: Manifest,
    pub(crate) seconds: f64,
}

/// How an execution ended.
pub(crate) enum Outcome {
    /// It ran and was recorded.
    Executed(Executed),
    /// Someone else recorded the same action meanwhile.
    Shared(Manifest),
    /// It has no result.
    Stopped(Stop),
}

pub(crate) fn execute(workspace: &Workspace<'_>, job: &Job<'_>, sink: &dyn EventSink) -> Outcome {
    try_execute(workspace, job, sink).unwrap_or_else(Outcome::Stopped)
}

fn try_execute(
    workspace: &Workspace<'_>,
    job: &Job<'_>,
    sink: &dyn EventSink,
) -> Result<Outcome, Stop> {
    let (cache, node) = (workspace.cache, workspace.node(job.index));
    let Some(status) = cache
        .actions
        .begin(&job.action, job.anew, &waiting(node, job, sink))?
    else {
        return Err(Stop::Cancelled);
    };
    let guard = match status {
        CacheStatus::Hit(manifest) => return Ok(Outcome::Shared(manifest)),
        CacheStatus::Miss(guard) => guard,
    };
    let inputs = gather(workspace, job)?;
    let started = Instant::now();
    let folder = cache.node_folder()?;
    let place = Place {
        folder: folder.path(),
        lock: guard.lock(),
    };
    let mut report = run_stage(cache, node, job, &inputs, &place, sink)?;
    check_sources(workspace, node, &job.action)?;
    if !folder.is_there() {
        let message = "its program put something else in the place of its working folder";
        return Err(Stop::Failed(message.to_owned(), None));
    }
    let opened = tree::open_up(folder.path());
    opened.map_err(|e| EngineError::io("read", folder.path(), e))?;
    let outputs = collect(cache, node, folder.path(), &report, job.cancel)?;
    let seconds = started.elapsed().as_secs_f64();
    let peak_memory = report.peak_memory.take().or_else(own_peak_memory);
    let manifest = Manifest {
        outputs,
        execution: execution(node, job, seconds, peak_memory, report),
    };
    guard.record(&manifest)?;
    // A scratch folder that stays behind is cleared when the same action next starts.
    let _ = tree::remove(&cache.scratch(&job.key.to_string()));
    Ok(Outcome::Executed(Executed { manifest, seconds }))
}

/// Tells once that another run has the action; no more waiting after an interruption.
fn waiting<'w>(
    node: &'w Node,
    job: &'w Job<'_>,
    sink: &'w dyn EventSink,
) -> impl Fn() -> bool + 'w {
    let told = Cell::new(false);
    move || {
        if !told.replace(true) {
            let node = node.label();
            sink.event(&Event::NodeWaiting { node });
        }
        !job.cancel.load(Ordering::Relaxed)
    }
}

fn execution(
    node: &Node,
    job: &Job<'_>,
    seconds: f64,
    peak_memory: Option<u64>,
    report: Report,
) -> Execution {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Execution {
        node: node.label().to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        finished: now.as_secs(),
        seconds,
        threads: job.threads,
        peak_memory,
        report,
    }
}

/// The most memory that this process has had, in bytes; Linux says it.
fn own_peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Verifies every input and says where to read it.
fn gather(workspace: &Workspace<'_>, job: &Job<'_>) -> Result<Inputs, Stop> {
    let mut inputs = Inputs::default();
    for (up, role, output, manifest) in &job.inputs {
        let mut outputs = BTreeMap::new();
        for (name, artifact) in used_outputs(Some(manifest), output.as_deref()) {
            let input = open_artifact(workspace.cache, name, artifact)
                .map_err(|error| blame(*up, error))?;
            outputs.insert(name.to_owned(), input);
        }
        let cell = workspace.node(*up).cell.clone();
        let nodes = inputs.roles.entry(role.clone()).or_default();
        nodes.push(InputNode { cell, outputs });
    }
    let node = workspace.node(job.index);
    check_sources(workspace, node, &job.action)?;
    for source in node.work.sources() {
        let files = open_source(&source)?;
        for path in files.by_name().values() {
            if let Some(digest) = workspace.stats.hashed(path) {
                inputs.hashed.insert(path.clone(), digest);
            }
        }
        inputs.sources.insert(source.name, files);
    }
    Ok(inputs)
}

fn blame(up: NodeIndex, error: EngineError) -> Stop {
    match error {
        EngineError::Damaged { .. } => Stop::InputDamaged(up),
        other => other.into(),
    }
}

fn open_artifact(
    cache: &Cache,
    name: &str,
    artifact: &Artifact,
) -> Result<InputArtifact, EngineError> {
    let files = match artifact.kind {
        OutputKind::File => {
            let path = cache.blobs.verified(artifact.digest)?;
            InputFiles::file(name, &path, artifact.executable)
        }
        OutputKind::Dir => {
            let listing = cache.blobs.listing(artifact.digest)?;
            let tree = listing.try_map(|_, digest| cache.blobs.verified(*digest))?;
            InputFiles::folder(tree)
        }
    };
    Ok(InputArtifact {
        digest: artifact.digest,
        files,
    })
}

/// The files of a source. Of a pinned file the digest says all, so it is not executable.
fn open_source(source: &SourceFile) -> Result<InputFiles, EngineError> {
    if source.path.is_dir() {
        return Ok(InputFiles::folder(tree::walk(
            &source.path,
            Links::OfSource,
        )?));
    }
    let meta = std::fs::metadata(&source.path);
    let meta = meta.map_err(|e| EngineError::io("read", &source.path, e))?;
    let name = source
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let executable = source.pin.is_none() && tree::is_executable(&meta);
    Ok(InputFiles::file(&name, &source.path, executable))
}

/// Refuses source files that are not what the action was keyed by: before it runs because the
/// declared digest is wrong, after it because someone changed them under it.
fn check_sources(workspace: &Workspace<'_>, node: &Node, action: &Action) -> Result<(), Stop> {
    for source in node.work.sources() {
        let algorithm = source
            .pin
            .as_ref()
            .map_or(Algorithm::Blake3, |p| p.algorithm);
        let pin = workspace.stats.digest(&source.path, algorithm)?;
        let found = source.identity(&pin);
        let expected = &action.inputs[&format!("source {}", source.name)];
        if found != *expected {
            let path = source.path.display();
            let message = format!("{path} is {found}, expected {expected}");
            let hint = "the file changed while the run was under way, or its declared digest is \
                        wrong; nothing was recorded";
            return Err(Stop::Failed(message, Some(hint.into())));
        }
    }
    Ok(())
}

/// Where a stage runs: its private folder, and the lock that says that it is its.
struct Place<'p> {
    folder: &'p Path,
    lock: &'p File,
}

fn run_stage(
    cache: &Cache,
    node: &Node,
    job: &Job<'_>,
    inputs: &Inputs,
    place: &Place<'_>,
    sink: &dyn EventSink,
) -> Result<Report, Stop> {
    let key = job.key.to_string();
    let scratch = cache.scratch(&key);
    prepare_parents(node, place.folder)?;
    let log = Log::create(cache.log(&key))?;
    let deadline = node.policy.timeout.map(|limit| Instant::now() + limit);
    let is_late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let label = node.label();
    let context = StageContext {
        threads: job.threads,
        scratch: &scratch,
        progress: &|done, total, unit| {
            sink.event(&Event::NodeProgress {
                node: label,
                done,
                total,
                unit,
            });
        },
        log: &|line| log.line(line),
        cancelled: &|| job.cancel.load(Ordering::Relaxed) || is_late(),
        programs: Programs {
            key: &key,
            log: Some(&log),
            lock: Some(place.lock),
            trace: job.trace,
        },
    };
    let outputs = OutputDir::new(place.folder.to_owned());
    let run = || node.work.run(inputs, &outputs, &context);
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    log.finish();
    match ran {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(StageError::Cancelled)) if !job.cancel.load(Ordering::Relaxed) => {
            let limit = node.policy.timeout.unwrap_or_default();
            let message = format!("it was stopped after its time-out of {limit:?}");
            Err(Stop::Failed(
                message,
                Some("raise `timeout` of the stage".into()),
            ))
        }
        Ok(Err(StageError::Cancelled)) => Err(Stop::Cancelled),
        Ok(Err(StageError::Failed { message, hint })) => Err(Stop::Failed(message, hint)),
        Ok(Err(error @ StageError::Io { .. })) => Err(Stop::Failed(error.to_string(), None)),
        Err(panic) => Err(Stop::Failed(bug(panic.as_ref()), None)),
    }
}

fn bug(panic: &(dyn std::any::Any + Send)) -> String {
    let text = contain::message(panic);
    format!("internal error, please report it: {text}")
}

fn prepare_parents(node: &Node, folder: &Path) -> Result<(), EngineError> {
    for output in node.work.outputs() {
        let path = folder.join(&output.name);
        let parent = match output.kind {
            OutputKind::File => path.parent().unwrap_or(folder).to_owned(),
            OutputKind::Dir => path,
        };
        fs_err::create_dir_all(&parent).map_err(|e| EngineError::io("create", &parent, e))?;
    }
    Ok(())
}
