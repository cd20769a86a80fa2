use std::fmt::Write;

use cpipe_engine::records::{self, NodeRecord, NodeState, RunRecord};
use cpipe_engine::{Action, Manifest};
use serde_json::json;

use super::runs;
use crate::cli::{PipelineArgs, ShowArgs};
use crate::error::CliError;
use crate::session::{Session, open_cache};

pub(crate) fn show(pipeline: &PipelineArgs, args: &ShowArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let text = match runs::find(&cache, &args.what)? {
        Some(run) => {
            let nodes = records::nodes(&cache, &run);
            if args.json {
                json!({"run": run, "nodes": nodes}).to_string() + "\n"
            } else {
                show_run(&run, &nodes)
            }
        }
        None => show_node(pipeline, args)?,
    };
    super::print(&text)?;
    Ok(0)
}

fn show_node(pipeline: &PipelineArgs, args: &ShowArgs) -> Result<String, CliError> {
    let session = Session::open(pipeline)?;
    let index = session.single(&args.what)?;
    let workspace = session.workspace();
    let known = cpipe_engine::plan::known(&workspace, &[index])?;
    let manifest = session.manifest(index)?;
    let action = workspace.action(index, &known)?;
    let label = workspace.node(index).label();
    if args.json {
        let key = action.key();
        return Ok(
            json!({"node": label, "key": key, "action": action, "manifest": manifest}).to_string()
                + "\n",
        );
    }
    Ok(render(label, &action, &manifest))
}

fn render(label: &str, action: &Action, manifest: &Manifest) -> String {
    let mut text = String::new();
    let mut line = |line: String| text.extend([line.trim_end(), "\n"]);
    let execution = &manifest.execution;
    line(label.to_owned());
    line(format!("key        {}", action.key()));
    line(format!(
        "stage      {} version {}",
        action.stage.name, action.stage.version
    ));
    line(format!("params     {}", action.params));
    for (name, digest) in &action.inputs {
        line(format!("input      {name} {digest}"));
    }
    for (name, value) in &action.environment {
        line(format!("variable   {name}={value}"));
    }
    for (name, artifact) in &manifest.outputs {
        line(format!(
            "output     {name} {} {} bytes",
            artifact.digest, artifact.size
        ));
    }
    line(format!("finished   {}", when(execution.finished)));
    line(format!(
        "took       {:.3} s on {} threads",
        execution.seconds, execution.threads
    ));
    if let Some(bytes) = execution.peak_memory {
        line(format!("memory     {} at most", super::megabytes(bytes)));
    }
    line(format!(
        "made by    cpipe {} on {}",
        execution.version, execution.platform
    ));
    for (name, value) in &execution.report.facts {
        line(format!("{name:<10} {value}"));
    }
    if execution.node != label {
        line(format!("first made for {}", execution.node));
    }
    text
}

fn when(seconds: u64) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0));
    time.unwrap_or_default().to_string()
}

fn show_run(run: &RunRecord, nodes: &[NodeRecord]) -> String {
    let mut text = format!(
        "run        {}\nstate      {}\nstarted    {}\ntook       {:.2} s on {} cores, device {}\npipeline   {}\nprofile    {}\n",
        run.id,
        runs::word(run.state),
        when(run.started),
        run.seconds,
        run.jobs,
        run.info.device,
        match run.info.file.as_str() {
            "" => "not on record",
            file => file,
        },
        run.info.profile,
    );
    for (key, value) in &run.info.overrides {
        writeln!(text, "set        {key}={value}").expect("writing to a string does not fail");
    }
    writeln!(
        text,
        "arguments  {}\nversion    cpipe {} on {}\nnodes      {} executed, {} cached, {} failed, {} skipped",
        run.info.arguments.join(" "),
        run.version,
        run.platform,
        run.executed,
        run.cached,
        run.failed,
        run.skipped,
    )
    .expect("writing to a string does not fail");
    for node in nodes {
        writeln!(text, "{}", node_line(node)).expect("writing to a string does not fail");
    }
    text
}

fn node_line(node: &NodeRecord) -> String {
    let word = match node.state {
        NodeState::Executed => "executed",
        NodeState::Failed => "failed",
        NodeState::Interrupted => "interrupted",
    };
    let mut parts = vec![format!("  {word:<11} {}", node.node)];
    if let Some(seconds) = node.seconds {
        parts.push(format!("{seconds:.2} s"));
        let tokens = node.report.facts.get("tokens");
        let tokens = tokens.and_then(serde_json::Value::as_f64);
        if let Some(tokens) = tokens.filter(|_| seconds > 0.0) {
            parts.push(format!("{:.0} tokens/s", tokens / seconds));
        }
    }
    if let Some(bytes) = node.peak_memory {
        parts.push(super::megabytes(bytes));
    }
    if node.attempts > 1 {
        parts.push(format!("{} attempts", node.attempts));
    }
    parts.extend(node.message.clone());
    parts.join(", ")
}
