//! Executing one action: verified inputs in, recorded outputs out, or nothing at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use petgraph::graph::NodeIndex;

use crate::action::Action;
use crate::cache::{Cache, CacheStatus, source_files};
use crate::digest::Algorithm;
use crate::error::EngineError;
use crate::event::{Event, EventSink};
use crate::graph::Node;
use crate::manifest::{Artifact, Execution, Listing, Manifest};
use crate::plan::{Workspace, used_outputs};
use crate::stage::{
    InputArtifact, InputNode, Inputs, OutputDir, OutputKind, Report, StageContext, StageError,
};

/// What an execution needs besides the workspace.
pub(crate) struct Job<'j> {
    pub(crate) index: NodeIndex,
    pub(crate) action: Action,
    /// (upstream node, role, output if only one, its manifest), in the order of the graph.
    pub(crate) inputs: Vec<(NodeIndex, String, Option<String>, Manifest)>,
    pub(crate) threads: usize,
    /// An existing result does not count.
    pub(crate) anew: bool,
    pub(crate) cancel: &'j AtomicBool,
}

/// How an execution ended.
pub(crate) enum Outcome {
    /// It ran and was recorded.
    Executed(Manifest, f64),
    /// Someone else recorded the same action meanwhile.
    Shared(Manifest),
    /// It has no result.
    Stopped(Stop),
}

/// Why an execution has no result.
pub(crate) enum Stop {
    /// An input's bytes are gone or damaged; that node has to run again.
    InputDamaged(NodeIndex),
    /// It failed: message and hint.
    Failed(String, Option<String>),
    /// The run is being interrupted.
    Cancelled,
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.to_string(), None)
    }
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
    let guard = match cache.actions.begin(&job.action, job.anew)? {
        CacheStatus::Hit(manifest) => return Ok(Outcome::Shared(manifest)),
        CacheStatus::Miss(guard) => guard,
    };
    let inputs = gather(workspace, job)?;
    let started = Instant::now();
    let folder = cache.temp_dir()?;
    let report = run_stage(cache, node, job, &inputs, folder.path(), sink)?;
    check_sources(workspace, node, &job.action)?;
    let outputs = collect(cache, node, folder.path())?;
    let seconds = started.elapsed().as_secs_f64();
    let manifest = Manifest {
        outputs,
        execution: execution(node, job, seconds, report),
    };
    guard.record(&manifest)?;
    // A scratch folder that stays behind is cleared when the same action next starts.
    let _ = std::fs::remove_dir_all(cache.scratch(&job.action.key().to_string()));
    Ok(Outcome::Executed(manifest, seconds))
}

fn execution(node: &Node, job: &Job<'_>, seconds: f64, report: Report) -> Execution {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Execution {
        node: node.label(),
        version: env!("CARGO_PKG_VERSION").into(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        finished: now.as_secs(),
        seconds,
        threads: job.threads,
        report,
    }
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
        let files = source_files(&source.path)?;
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
            BTreeMap::from([(name.to_owned(), path)])
        }
        OutputKind::Dir => cache
            .blobs
            .listing(artifact.digest)?
            .0
            .into_iter()
            .map(|(name, digest)| Ok((name, cache.blobs.verified(digest)?)))
            .collect::<Result<_, EngineError>>()?,
    };
    Ok(InputArtifact {
        digest: artifact.digest,
        files,
    })
}

/// Refuses source files that are not what the action was keyed by: before it runs because the
/// declared digest is wrong, after it because someone changed them under it.
fn check_sources(workspace: &Workspace<'_>, node: &Node, action: &Action) -> Result<(), Stop> {
    for source in node.work.sources() {
        let algorithm = source
            .pin
            .as_ref()
            .map_or(Algorithm::Blake3, |p| p.algorithm);
        let found = workspace.stats.digest(&source.path, algorithm)?.to_string();
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

fn run_stage(
    cache: &Cache,
    node: &Node,
    job: &Job<'_>,
    inputs: &Inputs,
    folder: &Path,
    sink: &dyn EventSink,
) -> Result<Report, Stop> {
    let key = job.action.key().to_string();
    let scratch = cache.scratch(&key);
    fs_err::create_dir_all(&scratch).map_err(|e| EngineError::io("create", &scratch, e))?;
    prepare_parents(node, folder)?;
    let log_path = cache.log(&key);
    let log = File::create(&log_path).map_err(|e| EngineError::io("write", &log_path, e))?;
    let log = Mutex::new(log);
    let label = node.label();
    let context = StageContext {
        threads: job.threads,
        scratch: &scratch,
        progress: &|done, total, unit| {
            let node = label.as_str();
            sink.event(&Event::NodeProgress {
                node,
                done,
                total,
                unit,
            });
        },
        log: &|line| {
            let mut log = log
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            // A log that can't be written must not fail the work it tells of.
            let _ = writeln!(log, "{line}");
        },
        cancelled: &|| job.cancel.load(Ordering::Relaxed),
    };
    let outputs = OutputDir::new(folder.to_owned());
    let run = || node.work.run(inputs, &outputs, &context);
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(StageError::Cancelled)) => Err(Stop::Cancelled),
        Ok(Err(StageError::Failed { message, hint })) => Err(Stop::Failed(message, hint)),
        Ok(Err(error @ StageError::Io { .. })) => Err(Stop::Failed(error.to_string(), None)),
        Err(panic) => Err(Stop::Failed(bug(panic.as_ref()), None)),
    }
}

fn bug(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
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

/// Moves every declared output into the blob store.
fn collect(cache: &Cache, node: &Node, folder: &Path) -> Result<BTreeMap<String, Artifact>, Stop> {
    let mut artifacts = BTreeMap::new();
    for output in node.work.outputs() {
        let path = folder.join(&output.name);
        let artifact = match output.kind {
            OutputKind::File if path.is_file() => {
                let (digest, size) = cache.blobs.take(&path)?;
                Artifact {
                    kind: OutputKind::File,
                    digest,
                    size,
                }
            }
            OutputKind::Dir => collect_folder(cache, &path)?,
            OutputKind::File => {
                let name = &output.name;
                let message = if path.is_dir() {
                    format!("its output `{name}` is declared as a file, but it made a folder")
                } else {
                    format!("it did not write its output `{name}`")
                };
                return Err(Stop::Failed(message, None));
            }
        };
        artifacts.insert(output.name, artifact);
    }
    Ok(artifacts)
}

fn collect_folder(cache: &Cache, path: &Path) -> Result<Artifact, EngineError> {
    let mut listing = Listing::default();
    let mut total = 0;
    for (name, file) in source_files(path)? {
        let (digest, size) = cache.blobs.take(&file)?;
        total += size;
        listing.0.insert(name, digest);
    }
    let digest = cache.blobs.put(listing.to_text().as_bytes())?;
    Ok(Artifact {
        kind: OutputKind::Dir,
        digest,
        size: total,
    })
}
