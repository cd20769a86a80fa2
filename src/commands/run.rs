use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};

use cpipe_engine::event::EventSink;
use cpipe_engine::plan::Workspace;
use cpipe_engine::run::{self, RunOptions, SourceProblem, Summary};
use cpipe_engine::spec::SpecError;
use petgraph::graph::NodeIndex;

use crate::cli::{PipelineArgs, PlanArgs, RunArgs};
use crate::error::{CliError, INTERRUPTED, NODE_FAILED};
use crate::reporter::{JsonLines, Terminal};
use crate::session::Session;
use crate::sources::{self, Outcome};

static CANCEL: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(pipeline: &PipelineArgs, args: &RunArgs) -> Result<u8, CliError> {
    let only = !args.only.is_empty();
    if args.dry_run {
        let plan = PlanArgs {
            selectors: if only {
                args.only.clone()
            } else {
                args.selectors.clone()
            },
            force: args.force.clone(),
            json: args.json,
        };
        return super::plan::plan(pipeline, &plan);
    }
    stop_on_ctrl_c();
    let selectors = if only { &args.only } else { &args.selectors };
    let mut session = Session::open(pipeline)?;
    let mut targets = session.select(selectors)?;
    if !only {
        match sources::resolve(&session, &targets, args.locked, &CANCEL)? {
            Outcome::Known => {}
            Outcome::Found => {
                session = Session::open(pipeline)?;
                targets = session.select(selectors)?;
            }
            Outcome::Interrupted => return Ok(INTERRUPTED),
        }
    }
    let force = match args.force.as_slice() {
        [] => Vec::new(),
        selectors => session.select(selectors)?,
    };
    let options = RunOptions {
        jobs: args.jobs.map_or_else(cores, usize::from),
        only,
        force: force.into_iter().collect(),
    };
    let workspace = session.workspace();
    if !only {
        check_sources(&session, &workspace, &targets)?;
    }
    let sink: Box<dyn EventSink> = if args.json {
        Box::new(JsonLines)
    } else {
        Box::new(Terminal::new())
    };
    let summary = run::run(&workspace, &targets, &options, &CANCEL, sink.as_ref())?;
    Ok(exit_code(&summary))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
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
fn check_sources(
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
    let name = entry.map_or("", |(name, _)| name.as_str());
    let path = problem
        .path
        .strip_prefix(&session.pipeline.root)
        .unwrap_or(&problem.path);
    let path = path.display();
    let span = entry.and_then(|(_, entry)| entry.pin_span.clone());
    let expected = problem
        .expected
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    match &problem.found {
        Some(found) => SpecError {
            message: format!("source `{name}` is not what it is declared to be: {path}"),
            span,
            label: Some(format!("declared {expected}, found {found}")),
            help: Some(format!(
                "restore {path}; or, if the change is meant, accept it with `cpipe update {name}`"
            )),
        },
        None => SpecError {
            message: format!("source `{name}` is missing: {path}"),
            span,
            label: Some("its content is not in the cache either".into()),
            help: Some(format!("put the file back at {path}, or correct its path")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

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
