//! The sections of the file, read from the tree with their positions kept.

use std::collections::BTreeSet;
use std::ops::Range;

use super::error::SpecError;
use super::tree::{Key, Node, Value};

/// The file's sections.
pub(crate) struct File<'t> {
    pub(crate) default_profile: Option<String>,
    pub(crate) vars: Option<&'t Node>,
    pub(crate) axes: Vec<Axis<'t>>,
    pub(crate) sources: &'t [(Key, Node)],
    pub(crate) stages: Vec<StageSpec<'t>>,
}

/// A named list of values.
pub(crate) struct Axis<'t> {
    pub(crate) name: &'t str,
    pub(crate) values: &'t [Node],
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
}

/// An input as written: `role: stage` or `role: stage:output`.
pub(crate) struct Need {
    pub(crate) role: String,
    pub(crate) role_span: Range<usize>,
    pub(crate) stage: String,
    pub(crate) output: Option<String>,
    pub(crate) span: Range<usize>,
}

const SECTIONS: [&str; 8] = [
    "version",
    "name",
    "default_profile",
    "vars",
    "matrix",
    "sources",
    "stages",
    "profiles",
];
const STAGE_KEYS: [&str; 4] = ["over", "needs", "run", "export"];

/// Reads all sections, collecting every error.
pub(crate) fn read(document: &Node) -> Result<File<'_>, Vec<SpecError>> {
    let mut errors = Vec::new();
    if !matches!(document.value, Value::Map(_)) {
        let message = format!("expected a mapping, found {}", document.describe());
        return Err(vec![SpecError::at(document.span.clone(), message)]);
    }
    check_keys(document, &SECTIONS, "the pipeline", &mut errors);
    check_version(document, &mut errors);
    let axes = read_axes(document, &mut errors);
    let sources = read_map(document, "sources", &mut errors);
    read_map(document, "vars", &mut errors);
    let mut stages = Vec::new();
    let written = read_map(document, "stages", &mut errors);
    for (key, node) in written {
        match read_stage(key, node) {
            Ok(stage) => stages.push(stage),
            Err(more) => errors.extend(more),
        }
    }
    if written.is_empty() {
        let error = SpecError::at(
            document.span.start..document.span.start,
            "there are no stages",
        );
        errors.push(error.help("add a `stages:` mapping with at least one stage"));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(File {
        default_profile: document.get("default_profile").and_then(Node::scalar_text),
        vars: document.get("vars"),
        axes,
        sources,
        stages,
    })
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
        Some(node) if node.value == Value::Integer(1) => {}
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

fn read_map<'t>(document: &'t Node, name: &str, errors: &mut Vec<SpecError>) -> &'t [(Key, Node)] {
    match document.get(name) {
        Some(Node {
            value: Value::Map(entries),
            ..
        }) => entries,
        None
        | Some(Node {
            value: Value::Null, ..
        }) => &[],
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

fn read_axes<'t>(document: &'t Node, errors: &mut Vec<SpecError>) -> Vec<Axis<'t>> {
    let mut axes = Vec::new();
    for (key, node) in read_map(document, "matrix", errors) {
        let Value::List(values) = &node.value else {
            let message = format!(
                "expected a list of values for axis `{}`, found {}",
                key.text,
                node.describe()
            );
            errors.push(SpecError::at(node.span.clone(), message));
            continue;
        };
        if values.is_empty() {
            let message = format!("axis `{}` has no values", key.text);
            errors.push(SpecError::at(node.span.clone(), message));
        }
        check_values(&key.text, values, errors);
        axes.push(Axis {
            name: &key.text,
            values,
        });
    }
    axes
}

fn check_values(axis: &str, values: &[Node], errors: &mut Vec<SpecError>) {
    let mut seen = BTreeSet::new();
    for value in values {
        match value.scalar_text() {
            None => {
                let message = format!(
                    "a value of axis `{axis}` is {}, expected a scalar",
                    value.describe()
                );
                errors.push(SpecError::at(value.span.clone(), message));
            }
            Some(text) if text.contains([',', '=', '[', ']', '/', '\\']) => {
                let message = format!(
                    "the value `{text}` of axis `{axis}` has one of the characters , = [ ] / \\"
                );
                errors.push(SpecError::at(value.span.clone(), message));
            }
            Some(text) => {
                if !seen.insert(text.clone()) {
                    let message = format!("axis `{axis}` has the value `{text}` twice");
                    errors.push(SpecError::at(value.span.clone(), message));
                }
            }
        }
    }
}

fn read_stage<'t>(key: &'t Key, node: &'t Node) -> Result<StageSpec<'t>, Vec<SpecError>> {
    let mut errors = Vec::new();
    let name = &key.text;
    if !matches!(node.value, Value::Map(_)) {
        let message = format!(
            "expected a mapping for stage `{name}`, found {}",
            node.describe()
        );
        return Err(vec![SpecError::at(node.span.clone(), message)]);
    }
    if name.is_empty() || name.contains(['[', ']', ':', '*', ',', '/', ' ']) {
        let message = format!("`{name}` is not a stage name");
        errors.push(SpecError::at(key.span.clone(), message).help("use letters, digits, - and _"));
    }
    check_keys(node, &STAGE_KEYS, &format!("stage `{name}`"), &mut errors);
    let over = texts(node.get("over"), "a list of axes", &mut errors);
    let needs = read_needs(node.get("needs"), &mut errors);
    let run = read_run(name, key, node, &mut errors);
    let export = node.get("export").and_then(|export| match &export.value {
        Value::Text(text) => Some((text.as_str(), export.span.clone())),
        _ => {
            let message = format!(
                "expected a folder below outputs/, found {}",
                export.describe()
            );
            errors.push(SpecError::at(export.span.clone(), message).help("`.` is outputs/ itself"));
            None
        }
    });
    match run {
        Some((kind, params)) if errors.is_empty() => Ok(StageSpec {
            name,
            span: key.span.clone(),
            over,
            needs,
            kind,
            params,
            export,
        }),
        _ => Err(errors),
    }
}

fn texts<'t>(
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
    let mut out = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) => out.push((text.as_str(), item.span.clone())),
            _ => {
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
        match &value.value {
            Value::Text(text) => needs.push(need(Some(key), text, &value.span)),
            _ => {
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
    match run.entries() {
        [(kind, params)] => Some((kind, params)),
        _ => {
            let message = format!(
                "expected one kind of stage under `run`, found {}",
                run.describe()
            );
            errors.push(
                SpecError::at(run.span.clone(), message)
                    .help("for example `run: { chunk: { bytes: 2048 } }`"),
            );
            None
        }
    }
}
