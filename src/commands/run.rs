use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cpipe_engine::digest::Pin;
use cpipe_engine::event::EventSink;
use cpipe_engine::plan::Workspace;
use cpipe_engine::run::{self, RunOptions, SourceProblem, Summary};
use cpipe_engine::spec::{SourceEntry, SpecError};
use petgraph::graph::NodeIndex;

use crate::cli::{PipelineArgs, PlanArgs, RunArgs};
use crate::costs::Downloads;
use crate::error::{CliError, INTERRUPTED, Kind, NODE_FAILED};
use crate::options::{quoted, run_options};
use crate::report;
use crate::reporter::{JsonLines, Terminal};
use crate::session::Session;
use crate::sources::{self, Outcome};

static CANCEL: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(pipeline: &PipelineArgs, args: &RunArgs) -> Result<u8, CliError> {
    if args.dry_run {
        let plan = PlanArgs {
            selection: args.selection.clone(),
            json: args.json,
        };
        return super::plan::plan(pipeline, &plan);
    }
    cpipe_lm::use_device(pipeline.device);
    // What comes from the cache needs no card.
    if args.selection.only.is_empty() {
        cpipe_lm::check_device().map_err(|e| CliError::new(Kind::Usage, &e.to_string(), None))?;
    }
    stop_on_ctrl_c();
    let sink: Box<dyn EventSink> = if args.json {
        Box::new(JsonLines)
    } else {
        Box::new(Terminal::new(crate::options::command(pipeline, "log")))
    };
    let selection = &args.selection;
    let mut session = Session::open_for(pipeline, selection)?;
    loop {
        // Stages that write axes run first; each time more of the pipeline is known.
        let writers = writers_first(&session, args);
        let is_last = writers.is_none();
        let targets = match writers {
            Some(writers) => writers,
            None => session.targets(selection)?,
        };
        if selection.only.is_empty() {
            match sources::resolve(&session, &targets, args.locked, &CANCEL)? {
                Outcome::Known => {}
                Outcome::Found => {
                    session = Session::open_for(pipeline, selection)?;
                    continue;
                }
                Outcome::Interrupted => return Ok(INTERRUPTED),
            }
        }
        let options = run_options(&session, pipeline, args)?;
        let summary = bring(&session, &targets, &options, sink.as_ref())?;
        sources::remember(&session, &summary)?;
        let code = exit_code(&summary);
        if summary.interrupted && !args.json {
            tell_of_interruption();
        }
        if is_last && code == 0 {
            let written = report::refresh(&session, &summary)?;
            if let Some(path) = written.filter(|_| !args.json) {
                super::report::tell(&session, &path);
            }
        }
        if is_last || code != 0 {
            return Ok(code);
        }
        let next = Session::open_for(pipeline, selection)?;
        if next.pipeline.pending == session.pipeline.pending {
            return Ok(code);
        }
        session = next;
    }
}

/// The nodes that write axes, if what is asked for has to wait for them.
fn writers_first(session: &Session, args: &RunArgs) -> Option<Vec<NodeIndex>> {
    let writers = session.writers();
    if writers.is_empty() || !args.selection.only.is_empty() {
        return None;
    }
    let asked = &args.selection.selectors;
    let is_known = !asked.is_empty() && session.targets(&args.selection).is_ok();
    (!is_known).then_some(writers)
}

fn bring(
    session: &Session,
    targets: &[NodeIndex],
    options: &RunOptions,
    sink: &dyn EventSink,
) -> Result<Summary, CliError> {
    let workspace = session.workspace();
    if options.only {
        session.refuse_empty_cache(targets)?;
    } else {
        check_sources(session, &workspace, targets)?;
        Downloads::of(session, targets)?.check(session)?;
    }
    Ok(run::run(&workspace, targets, options, &CANCEL, sink)?)
}

fn exit_code(summary: &Summary) -> u8 {
    if summary.interrupted {
        INTERRUPTED
    } else if summary.failed > 0 {
        NODE_FAILED
    } else {
        0
    }
}

#[expect(clippy::print_stderr, reason = "talk, not data")]
fn tell_of_interruption() {
    eprintln!("interrupted: the same command goes on where this one was");
}

/// The first Ctrl-C lets running nodes save what they have; the second ends at once.
fn stop_on_ctrl_c() {
    // Without a handler Ctrl-C still ends the run; the cache is whole either way.
    let _ = ctrlc::set_handler(|| {
        if CANCEL.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
}

/// Refuses sources that are not what they are declared to be, before any work starts.
pub(super) fn check_sources(
    session: &Session,
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
) -> Result<(), CliError> {
    let problems = run::check_sources(workspace, targets)?;
    if problems.is_empty() {
        return Ok(());
    }
    let errors: Vec<SpecError> = problems.iter().map(|p| describe(session, p)).collect();
    Err(CliError::spec(&session.path, &session.text, &errors))
}

fn describe(session: &Session, problem: &SourceProblem) -> SpecError {
    let mut sources = session.pipeline.sources.iter();
    let entry = sources.find(|(_, entry)| entry.path() == Some(&problem.path));
    let path = problem
        .path
        .strip_prefix(&session.pipeline.root)
        .unwrap_or(&problem.path);
    match entry {
        Some((name, entry)) => describe_source(session, (name, entry), path, problem),
        None => describe_file(session, path, problem),
    }
}

/// Why what is gone cannot be done without.
fn why_missed(problem: &SourceProblem) -> String {
    let node = &problem.node;
    if problem.is_known {
        return format!("{node} reads it, and its result is not in the cache");
    }
    format!("{node} reads it, and cpipe.lock does not say what it was")
}

/// A source that is gone, or not what it is declared to be.
fn describe_source(
    session: &Session,
    (name, entry): (&str, &SourceEntry),
    path: &Path,
    problem: &SourceProblem,
) -> SpecError {
    let path = path.display();
    let span = entry.pin_span.clone().or(Some(entry.span.clone()));
    let digest = |pin: &Option<Pin>| pin.as_ref().map(ToString::to_string).unwrap_or_default();
    if problem.found.is_none() {
        return SpecError {
            message: format!("source `{name}` is missing: {path}"),
            span,
            label: Some(why_missed(problem)),
            help: Some(format!("put the file back at {path}, or correct its path")),
        };
    }
    let (declared, found) = (digest(&problem.expected), digest(&problem.found));
    SpecError {
        message: format!("source `{name}` is not what it is declared to be: {path}"),
        span,
        label: Some(format!("declared {declared}, found {found}")),
        help: Some(format!(
            "restore {path}; or, if the change is meant, accept it with `{} {}`",
            session.command("update"),
            quoted(name)
        )),
    }
}

/// A file that a stage reads without a source of its own.
fn describe_file(session: &Session, path: &Path, problem: &SourceProblem) -> SpecError {
    let mut nodes = session.pipeline.graph.dag.node_weights();
    let reader = nodes.find(|node| node.label() == problem.node);
    let path = path.display();
    SpecError {
        message: format!("the file {path} is missing"),
        span: reader.map(|node| node.span.clone()),
        label: Some(why_missed(problem)),
        help: Some(format!("put the file back at {path}, or correct its path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_outranks_a_failure() {
        let mut summary = Summary::default();
        assert_eq!(exit_code(&summary), 0);
        summary.failed = 1;
        assert_eq!(exit_code(&summary), 20);
        summary.interrupted = true;
        assert_eq!(exit_code(&summary), 130);
    }

    #[test]
    fn an_unusable_cache_has_its_own_code() {
        assert_eq!(Kind::Cache.exit_code(), 30);
    }
}
