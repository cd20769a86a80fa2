use std::fmt::Write;

use cpipe_engine::plan::{self, Status};
use serde_json::json;

use crate::cli::{PipelineArgs, PlanArgs};
use crate::error::CliError;
use crate::session::Session;

/// Nodes of one stage: all, up to date, to be run, not known yet.
#[derive(Default)]
struct Count {
    nodes: usize,
    cached: usize,
    run: usize,
    unknown: usize,
}

pub(crate) fn status(pipeline: &PipelineArgs, args: &PlanArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let workspace = session.workspace();
    let targets = session.select(&args.selectors)?;
    let force = match args.force.as_slice() {
        [] => Vec::new(),
        selectors => session.select(selectors)?,
    };
    let mut stages: Vec<(String, Count)> = Vec::new();
    for (index, status) in plan::plan(&workspace, &targets, &force.into_iter().collect())? {
        let stage = &workspace.node(index).stage;
        if stages.last().is_none_or(|(name, _)| name != stage) {
            stages.push((stage.clone(), Count::default()));
        }
        if let Some((_, count)) = stages.last_mut() {
            count.nodes += 1;
            match status {
                Status::Cached(_) => count.cached += 1,
                Status::WouldRun(_) => count.run += 1,
                Status::Unknown(_) => count.unknown += 1,
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
