//! The sections of the file, read from the tree with their positions kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::error::SpecError;
use super::matrix::{self, Matrix};
use super::tree::{Key, Node, Value};
use super::vars::find_reference;
use super::{Options, limits};
use crate::policy::Policy;

/// The file's sections.
pub(crate) struct File<'t> {
    pub(crate) name: Option<String>,
    pub(crate) default_profile: Option<String>,
    pub(crate) vars: Option<&'t Node>,
    pub(crate) matrix: Matrix,
    pub(crate) pools: BTreeMap<String, u64>,
    pub(crate) sources: &'t [(Key, Node)],
    /// Stages without a mistake in their shape.
    pub(crate) stages: Vec<StageSpec<'t>>,
    /// Every stage that is written.
    pub(crate) stage_names: BTreeSet<&'t str>,
}

/// A stage as written.
pub(crate) struct StageSpec<'t> {
    pub(crate) name: &'t str,
    pub(crate) span: Range<usize>,
    pub(crate) over: Vec<(&'t str, Range<usize>)>,
    pub(crate) needs: Vec<Need>,
    pub(crate) kind: &'t Key,
    pub(crate) params: &'t Node,
    pub(crate) export: Option<(&'t str, Range<usize>)>,
    pub(crate) policy: Policy,
}

/// An input as written: `role: stage` or `role: stage:output`.
pub(crate) struct Need {
    pub(crate) role: String,
    pub(crate) role_span: Range<usize>,
    pub(crate) stage: String,
    pub(crate) output: Option<String>,
    pub(crate) span: Range<usize>,
}

const SECTIONS: [&str; 10] = [
    "version",
    "name",
    "default_profile",
    "vars",
    "matrix",
    "pools",
    "sources",
    "stages",
    "report",
    "profiles",
];
const STAGE_KEYS: [&str; 7] = [
    "over",
    "needs",
    "run",
    "export",
    "resources",
    "retries",
    "timeout",
];

/// Reads all sections, collecting every error.
pub(crate) fn read<'t>(
    document: &'t Node,
    root: &Path,
    options: &Options,
    errors: &mut Vec<SpecError>,
) -> File<'t> {
    check_keys(document, &SECTIONS, "the pipeline", errors);
    check_version(document, errors);
    for name in ["name", "default_profile"] {
        check_text(document.get(name), errors);
    }
    check_vars(read_map(document, "vars", errors), errors);
    let matrix = matrix::read(document, root, options, errors);
    let pools = limits::read_pools(document, errors);
    let sources = read_map(document, "sources", errors);
    let written = read_map(document, "stages", errors);
    if written.is_empty() && document.get("stages").is_none_or(is_empty) {
        let start = document.span.start;
        let error = SpecError::at(start..start, "there are no stages");
        errors.push(error.help("add a `stages:` mapping with at least one stage"));
    }
    let mut stages = Vec::new();
    for (key, node) in written {
        stages.extend(read_stage(key, node, &pools, errors));
    }
    let text = |node: &Node| node.text().map(str::to_owned);
    File {
        name: document.get("name").and_then(text),
        default_profile: document.get("default_profile").and_then(text),
        vars: document.get("vars"),
        matrix,
        pools,
        sources,
        stages,
        stage_names: written.iter().map(|(key, _)| key.text.as_str()).collect(),
    }
}

fn is_empty(node: &Node) -> bool {
    node.is_null() || node.value == Value::Map(Vec::new())
}

fn check_text(node: Option<&Node>, errors: &mut Vec<SpecError>) {
    if let Some(node) = node
        && node.scalar_text().is_none()
    {
        let message = format!("expected a text, found {}", node.describe());
        errors.push(SpecError::at(node.span.clone(), message));
    }
}

/// The text that must stand here.
pub(crate) fn text_of(node: &Node) -> Result<&str, SpecError> {
    node.text().ok_or_else(|| {
        let message = format!("expected a text, found {}", node.describe());
        SpecError::at(node.span.clone(), message)
    })
}

/// Variables are put in once, so that their values are what is written.
fn check_vars(vars: &[(Key, Node)], errors: &mut Vec<SpecError>) {
    for (_, value) in vars {
        if let Some(text) = find_reference(value) {
            let error = SpecError::at(text.span.clone(), "a variable can't refer to another");
            errors.push(error.help("put both where they are used, such as `${a}-${b}`"));
        }
    }
}

/// Letters, digits, `-`, `_` and `.`: what selectors and file names can hold.
pub(crate) fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(good)
}

pub(crate) fn not_a_name(key: &Key, what: &str) -> SpecError {
    let message = format!("`{}` is not a name for {what}", key.text);
    SpecError::at(key.span.clone(), message).help("use letters, digits, - and _")
}

/// Refuses keys that are not in `allowed`.
pub(crate) fn check_keys(node: &Node, allowed: &[&str], place: &str, errors: &mut Vec<SpecError>) {
    for (key, _) in node.entries() {
        if !allowed.contains(&key.text.as_str()) {
            let error = SpecError::at(
                key.span.clone(),
                format!("unknown key `{}` in {place}", key.text),
            );
            errors.push(error.choices(&key.text, allowed.iter().copied()));
        }
    }
}

fn check_version(document: &Node, errors: &mut Vec<SpecError>) {
    match document.get("version") {
        Some(node) if node.whole() == Some(1) => {}
        Some(node) => {
            let message = format!("expected version 1, found {}", node.describe());
            errors.push(SpecError::at(node.span.clone(), message));
        }
        None => errors.push(
            SpecError::at(
                document.span.start..document.span.start,
                "the key `version` is missing",
            )
            .help("add `version: 1`"),
        ),
    }
}

pub(crate) fn read_map<'t>(
    document: &'t Node,
    name: &str,
    errors: &mut Vec<SpecError>,
) -> &'t [(Key, Node)] {
    match document.get(name) {
        Some(Node {
            value: Value::Map(entries),
            ..
        }) => entries,
        None => &[],
        Some(node) if node.is_null() => &[],
        Some(node) => {
            let message = format!(
                "expected a mapping under `{name}`, found {}",
                node.describe()
            );
            errors.push(SpecError::at(node.span.clone(), message));
            &[]
        }
    }
}

fn read_stage<'t>(
    key: &'t Key,
    node: &'t Node,
    pools: &BTreeMap<String, u64>,
    errors: &mut Vec<SpecError>,
) -> Option<StageSpec<'t>> {
    let before = errors.len();
    let name = &key.text;
    if !matches!(node.value, Value::Map(_)) {
        let message = format!(
            "expected a mapping for stage `{name}`, found {}",
            node.describe()
        );
        errors.push(SpecError::at(node.span.clone(), message));
        return None;
    }
    if !is_name(name) {
        errors.push(not_a_name(key, "a stage"));
    }
    check_keys(node, &STAGE_KEYS, &format!("stage `{name}`"), errors);
    let over = texts(node.get("over"), "a list of axes", errors);
    let needs = read_needs(node.get("needs"), errors);
    let run = read_run(name, key, node, errors);
    let export = node
        .get("export")
        .and_then(|export| read_export(export, errors));
    let policy = limits::read_policy(node, pools, errors);
    let (kind, params) = run.filter(|_| errors.len() == before)?;
    Some(StageSpec {
        name,
        span: key.span.clone(),
        over,
        needs,
        kind,
        params,
        export,
        policy,
    })
}

fn read_export<'t>(
    export: &'t Node,
    errors: &mut Vec<SpecError>,
) -> Option<(&'t str, Range<usize>)> {
    if let Some(text) = export.text() {
        return Some((text, export.span.clone()));
    }
    let message = format!(
        "expected a folder below outputs/, found {}",
        export.describe()
    );
    errors.push(SpecError::at(export.span.clone(), message).help("`.` is outputs/ itself"));
    None
}

/// A list of names, each once.
pub(crate) fn texts<'t>(
    node: Option<&'t Node>,
    what: &str,
    errors: &mut Vec<SpecError>,
) -> Vec<(&'t str, Range<usize>)> {
    let Some(node) = node else {
        return Vec::new();
    };
    let Value::List(items) = &node.value else {
        let message = format!("expected {what}, found {}", node.describe());
        errors.push(SpecError::at(node.span.clone(), message));
        return Vec::new();
    };
    let mut out: Vec<(&str, Range<usize>)> = Vec::new();
    for item in items {
        match item.text() {
            Some(text) if out.iter().any(|(other, _)| *other == text) => {
                let message = format!("`{text}` stands here twice");
                errors.push(SpecError::at(item.span.clone(), message));
            }
            Some(text) => out.push((text, item.span.clone())),
            None => {
                let message = format!("expected {what}, found {}", item.describe());
                errors.push(SpecError::at(item.span.clone(), message));
            }
        }
    }
    out
}

/// `needs: { role: stage }`, or `needs: [stage]` where the role has the stage's name.
fn read_needs(node: Option<&Node>, errors: &mut Vec<SpecError>) -> Vec<Need> {
    let Some(node) = node else {
        return Vec::new();
    };
    if let Value::List(_) = node.value {
        let names = texts(Some(node), "a list of stages", errors);
        return names
            .into_iter()
            .map(|(text, span)| need(None, text, &span))
            .collect();
    }
    if !matches!(node.value, Value::Map(_)) {
        let message = format!("expected `role: stage` pairs, found {}", node.describe());
        errors.push(SpecError::at(node.span.clone(), message));
    }
    let mut needs = Vec::new();
    for (key, value) in node.entries() {
        match value.text() {
            Some(text) => needs.push(need(Some(key), text, &value.span)),
            None => {
                let message = format!("expected the name of a stage, found {}", value.describe());
                errors.push(SpecError::at(value.span.clone(), message));
            }
        }
    }
    needs
}

fn need(key: Option<&Key>, text: &str, span: &Range<usize>) -> Need {
    let (stage, output) = match text.split_once(':') {
        Some((stage, output)) => (stage, Some(output.to_owned())),
        None => (text, None),
    };
    Need {
        role: key.map_or(stage, |k| &k.text).to_owned(),
        role_span: key.map_or(span, |k| &k.span).clone(),
        stage: stage.to_owned(),
        output,
        span: span.clone(),
    }
}

fn read_run<'t>(
    name: &str,
    key: &Key,
    node: &'t Node,
    errors: &mut Vec<SpecError>,
) -> Option<(&'t Key, &'t Node)> {
    let Some(run) = node.get("run") else {
        let message = format!("stage `{name}` has no `run:`");
        errors.push(
            SpecError::at(key.span.clone(), message)
                .help("for example `run: { chunk: { bytes: 2048 } }`"),
        );
        return None;
    };
    let refuse = |at: &Range<usize>, found: String| {
        let message = format!("expected one kind of stage under `run`, found {found}");
        SpecError::at(at.clone(), message).help("for example `run: { chunk: { bytes: 2048 } }`")
    };
    match run.entries() {
        [(kind, params)] => return Some((kind, params)),
        [_, (second, _), ..] => {
            let count = run.entries().len();
            errors.push(refuse(&second.span, format!("{count} of them")));
        }
        [] => errors.push(refuse(&run.span, run.describe())),
    }
    None
}
