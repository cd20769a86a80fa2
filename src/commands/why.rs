use std::fmt::Write;

use cpipe_engine::why::{self, Step, Verdict};

use crate::cli::{PipelineArgs, WhyArgs};
use crate::error::CliError;
use crate::session::Session;

pub(crate) fn why(pipeline: &PipelineArgs, args: &WhyArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let index = session.single(&args.node)?;
    let steps = why::why(&session.workspace(), index)?;
    let mut text = String::new();
    for step in &steps {
        if args.json {
            let line = serde_json::to_string(step).expect("a step is plain data");
            writeln!(text, "{line}").expect("writing to a string does not fail");
        } else {
            render(step, &mut text);
        }
    }
    session.stats.save()?;
    super::print(&text)?;
    Ok(0)
}

fn render(step: &Step, text: &mut String) {
    let indent = "  ".repeat(step.depth);
    let verdict = match &step.verdict {
        Verdict::Cached if step.changes.is_empty() => "is up to date".to_owned(),
        Verdict::Cached => "is up to date; before that it differed in".to_owned(),
        Verdict::First => "is up to date; nothing earlier is on record".to_owned(),
        Verdict::WouldRun => "would run because of".to_owned(),
        Verdict::NeverRan => "would run: nothing earlier is on record".to_owned(),
        Verdict::Lost => "would run: its result is no longer in the cache".to_owned(),
        Verdict::Waits(up) => format!("waits for {up}"),
    };
    writeln!(text, "{indent}{} {verdict}", step.node).expect("writing to a string does not fail");
    for change in &step.changes {
        writeln!(text, "{indent}  {change}").expect("writing to a string does not fail");
    }
}
