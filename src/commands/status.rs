use std::fmt::Write;

use cpipe_engine::run::{self, Status};
use serde_json::json;

use crate::cli::{PipelineArgs, Selection, StatusArgs};
use crate::error::CliError;
use crate::options::plan_options;
use crate::session::Session;

/// Nodes of one stage: all, up to date, to be run, not known yet.
#[derive(Default)]
struct Count {
    nodes: usize,
    cached: usize,
    run: usize,
    unknown: usize,
}

pub(crate) fn status(pipeline: &PipelineArgs, args: &StatusArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let workspace = session.workspace();
    let targets = session.select(&args.selectors)?;
    let options = plan_options(&session, &Selection::default())?;
    let mut stages: Vec<(String, Count)> = Vec::new();
    for (index, status) in run::plan(&workspace, &targets, &options)? {
        let stage = &workspace.node(index).stage;
        if stages.last().is_none_or(|(name, _)| name != stage) {
            stages.push((stage.clone(), Count::default()));
        }
        if let Some((_, count)) = stages.last_mut() {
            count.nodes += 1;
            match status {
                Status::Cached(_) => count.cached += 1,
                Status::WouldRun(_) => count.run += 1,
                Status::Unknown(_) | Status::Unavailable(_) => count.unknown += 1,
            }
        }
    }
    session.stats.save()?;
    super::print(&render(&stages, args.json))?;
    Ok(0)
}

fn render(stages: &[(String, Count)], as_json: bool) -> String {
    let mut text = String::new();
    if !as_json {
        text.push_str("stage             nodes  up to date  to run  not known yet\n");
    }
    for (stage, c) in stages {
        let line = if as_json {
            json!({"stage": stage, "nodes": c.nodes, "cached": c.cached, "run": c.run, "unknown": c.unknown})
                .to_string()
        } else {
            format!(
                "{stage:<16} {:>6} {:>11} {:>7} {:>14}",
                c.nodes, c.cached, c.run, c.unknown
            )
        };
        writeln!(text, "{line}").expect("writing to a string does not fail");
    }
    text
}
