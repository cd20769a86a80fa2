use std::fmt::Write;

use cpipe_engine::run::{self, Status};
use serde_json::json;

use crate::cli::{PipelineArgs, PlanArgs};
use crate::costs::{self, Downloads};
use crate::error::CliError;
use crate::options::plan_options;
use crate::session::Session;

pub(crate) fn plan(pipeline: &PipelineArgs, args: &PlanArgs) -> Result<u8, CliError> {
    let session = Session::open_for(pipeline, &args.selection)?;
    let workspace = session.workspace();
    let targets = session.targets(&args.selection)?;
    let options = plan_options(&session, &args.selection)?;
    let downloads = if options.only {
        session.refuse_empty_cache(&targets)?;
        Downloads::default()
    } else {
        super::run::check_sources(&session, &workspace, &targets)?;
        Downloads::of(&session, &targets)?
    };
    let statuses = run::plan(&workspace, &targets, &options)?;
    let mut text = String::new();
    let (mut cached, mut would_run) = (0, 0);
    for (index, status) in &statuses {
        let node = workspace.node(*index).label();
        let (word, why) = describe(status);
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
        for axis in &session.pipeline.pending {
            let (axis, stage) = (&axis.axis, &axis.stage);
            writeln!(
                text,
                "maybe  axis `{axis}`: its values are known once `{stage}` has run"
            )
            .expect("writing to a string does not fail");
        }
        text += &downloads.describe(&session);
        let to_run: Vec<_> = statuses
            .iter()
            .filter(|(_, status)| !matches!(status, Status::Cached(_)))
            .map(|(index, _)| *index)
            .collect();
        text += &costs::describe_scoring(&session, &to_run, options.jobs);
        let summary = format!("{cached} up to date, {would_run} would run or may have to\n");
        text.push_str(&summary);
    }
    session.stats.save()?;
    super::print(&text)?;
    downloads.check(&session)?;
    Ok(0)
}

fn describe(status: &Status) -> (&'static str, String) {
    match status {
        Status::Cached(_) => ("cached", String::new()),
        Status::WouldRun(reason) => ("run", reason.to_string()),
        Status::Unknown(reason) => ("maybe", reason.to_string()),
        Status::Unavailable(input) => ("fail", format!("needs {input}, which is not in the cache")),
    }
}
