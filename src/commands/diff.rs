use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use cpipe_engine::explain::{Change, changes, differences};
use cpipe_engine::records::{Latest, RunRecord};
use cpipe_engine::{ActionKey, Cache, Manifest};
use serde::Serialize;
use serde_json::Value;

use super::runs;
use crate::cli::{DiffArgs, PipelineArgs};
use crate::error::{CliError, Kind};
use crate::session::open_cache;

/// JSON artifacts above this size are not searched for metrics.
const LARGEST: u64 = 1 << 20;
/// Metrics that are shown of one artifact.
const SHOWN: usize = 20;

/// How a node differs between two runs.
#[derive(Debug, Serialize)]
struct NodeDiff {
    node: String,
    /// Parts of the action; empty if the node is in one run only.
    parts: Vec<Change>,
    /// Outputs with other bytes.
    artifacts: Vec<String>,
    /// Numbers in JSON outputs.
    metrics: Vec<Change>,
    /// The run that alone has it.
    only_in: Option<String>,
}

impl NodeDiff {
    fn of(label: &str) -> Self {
        Self {
            node: label.to_owned(),
            parts: Vec::new(),
            artifacts: Vec::new(),
            metrics: Vec::new(),
            only_in: None,
        }
    }
}

pub(crate) fn diff(pipeline: &PipelineArgs, args: &DiffArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let (a, b) = (
        runs::require(&cache, &args.a)?,
        runs::require(&cache, &args.b)?,
    );
    let (old, new) = (table(&cache, &a)?, table(&cache, &b)?);
    let labels: BTreeSet<&str> = old
        .iter()
        .chain(new.iter())
        .map(|(label, _)| label)
        .collect();
    let found: Vec<NodeDiff> = labels
        .into_iter()
        .filter_map(|label| match (old.get(label), new.get(label)) {
            (Some(old), Some(new)) => (old != new).then(|| compare(&cache, label, old, new)),
            (Some(_), None) => Some(only(label, &a)),
            (None, _) => Some(only(label, &b)),
        })
        .collect();
    let text = if args.json {
        serde_json::to_string(&found).expect("differences are plain data") + "\n"
    } else {
        render(&a, &b, &found)
    };
    super::print(&text)?;
    Ok(0)
}

fn table(cache: &Cache, run: &RunRecord) -> Result<Latest, CliError> {
    let table = Latest::of_run(cache, run);
    if table.iter().next().is_none() {
        let message = format!("what run {} was made of is no longer on record", run.id);
        let hint =
            "`cpipe gc --keep-runs N` keeps more; `cpipe run --name NAME` keeps one for good";
        return Err(CliError::new(Kind::Usage, &message, Some(hint)));
    }
    Ok(table)
}

fn only(label: &str, run: &RunRecord) -> NodeDiff {
    NodeDiff {
        only_in: Some(run.id.clone()),
        ..NodeDiff::of(label)
    }
}

fn compare(cache: &Cache, label: &str, old: ActionKey, new: ActionKey) -> NodeDiff {
    let actions = &cache.actions;
    let parts = match (actions.action(old), actions.action(new)) {
        (Some(old), Some(new)) => changes(&old, &new),
        _ => Vec::new(),
    };
    let mut diff = NodeDiff {
        parts,
        ..NodeDiff::of(label)
    };
    if let (Some(old), Some(new)) = (actions.lookup(old), actions.lookup(new)) {
        for (name, artifact) in &new.outputs {
            if old
                .outputs
                .get(name)
                .is_some_and(|o| o.digest == artifact.digest)
            {
                continue;
            }
            diff.artifacts.push(name.clone());
            diff.metrics.extend(metrics(cache, name, &old, &new));
        }
    }
    diff
}

/// Numbers that differ in a JSON output that both have.
fn metrics(cache: &Cache, name: &str, old: &Manifest, new: &Manifest) -> Vec<Change> {
    let numbers = |manifest: &Manifest| {
        let artifact = manifest.outputs.get(name)?;
        let is_json = Path::new(name).extension().is_some_and(|e| e == "json");
        if !is_json || artifact.size > LARGEST {
            return None;
        }
        let path = cache.blobs.verified(artifact.digest).ok()?;
        let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let mut numbers = BTreeMap::new();
        collect(name, &value, &mut numbers);
        Some(numbers)
    };
    let (Some(old), Some(new)) = (numbers(old), numbers(new)) else {
        return Vec::new();
    };
    differences(&old, &new)
}

/// Path → number, for every number below `value`.
fn collect(path: &str, value: &Value, numbers: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                collect(&format!("{path}.{key}"), value, numbers);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                collect(&format!("{path}[{i}]"), value, numbers);
            }
        }
        Value::Number(number) => {
            numbers.insert(path.to_owned(), number.to_string());
        }
        _ => {}
    }
}

fn render(a: &RunRecord, b: &RunRecord, found: &[NodeDiff]) -> String {
    let mut text = format!("{} → {}: {} nodes differ\n", a.id, b.id, found.len());
    for diff in found {
        if let Some(run) = &diff.only_in {
            writeln!(text, "{}: only in {run}", diff.node)
                .expect("writing to a string does not fail");
            continue;
        }
        writeln!(text, "{}", diff.node).expect("writing to a string does not fail");
        for part in &diff.parts {
            writeln!(text, "  {part}").expect("writing to a string does not fail");
        }
        if diff.artifacts.is_empty() {
            text.push_str("  the same outputs\n");
        } else {
            writeln!(text, "  other outputs: {}", diff.artifacts.join(", "))
                .expect("writing to a string does not fail");
        }
        for metric in diff.metrics.iter().take(SHOWN) {
            writeln!(text, "    {metric}").expect("writing to a string does not fail");
        }
        if diff.metrics.len() > SHOWN {
            writeln!(text, "    and {} more numbers", diff.metrics.len() - SHOWN)
                .expect("writing to a string does not fail");
        }
    }
    text
}
