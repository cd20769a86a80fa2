use std::fmt::Write;

use cpipe_engine::plan::{self, Status};
use serde_json::json;

use crate::cli::{PipelineArgs, PlanArgs};
use crate::error::CliError;
use crate::session::Session;

pub(crate) fn plan(pipeline: &PipelineArgs, args: &PlanArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let workspace = session.workspace();
    let targets = session.select(&args.selectors)?;
    let force = match args.force.as_slice() {
        [] => Vec::new(),
        selectors => session.select(selectors)?,
    };
    let statuses = plan::plan(&workspace, &targets, &force.into_iter().collect())?;
    let mut text = String::new();
    let (mut cached, mut would_run) = (0, 0);
    for (index, status) in &statuses {
        let node = workspace.node(*index).label();
        let (word, why) = match status {
            Status::Cached(_) => ("cached", String::new()),
            Status::WouldRun(reason) => ("run", reason.to_string()),
            Status::Unknown(reason) => ("maybe", reason.to_string()),
        };
        match status {
            Status::Cached(_) => cached += 1,
            _ => would_run += 1,
        }
        if args.json {
            let line = json!({"node": node, "status": word, "reason": why});
            writeln!(text, "{line}").expect("writing to a string does not fail");
        } else if word != "cached" {
            writeln!(text, "{word:<6} {node}: {why}").expect("writing to a string does not fail");
        }
    }
    if !args.json {
        let summary = format!("{cached} up to date, {would_run} would run or may have to\n");
        text.push_str(&summary);
    }
    session.stats.save()?;
    super::print(&text)?;
    Ok(0)
}
