//! The `matrix:` section: axes, how they combine, and the cells that a stage expands into.
//!
//! Axes are crossed. Those that `zip` lists together advance together instead. An entry of
//! `exclude` removes the cells that agree with it from every stage that expands over all of its
//! axes; an entry of `include` adds its cell to every stage that expands over one of its axes,
//! crossed with the axes that it does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::Options;
use super::error::SpecError;
use super::file::{is_name, not_a_name, read_map, text_of};
use super::text_at;
use super::tree::{self, Key, Node, Value};
use super::values::{check_repeats, check_value};
use super::vars::cell_of;

const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";
const ZIP: &str = "zip";

/// A cell as it is written: axis and value.
pub(crate) type Choice<'m> = Vec<(&'m str, &'m Node)>;

/// A named list of values.
pub(crate) struct Axis {
    pub(crate) name: String,
    pub(crate) values: Vec<Node>,
}

/// An axis whose values an earlier stage writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingAxis {
    /// Name of the axis.
    pub axis: String,
    /// Stage that writes its values.
    pub stage: String,
    /// The output with the values: a JSON or YAML list, or one value per line.
    pub output: String,
}

/// The axes and how they combine.
#[derive(Default)]
pub(crate) struct Matrix {
    pub(crate) axes: Vec<Axis>,
    pub(crate) pending: Vec<PendingAxis>,
    zips: Vec<Vec<String>>,
    exclude: Vec<BTreeMap<String, BTreeSet<String>>>,
    include: Vec<Vec<(String, Node)>>,
}

impl Matrix {
    pub(crate) fn axis(&self, name: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.axes.iter().map(|axis| axis.name.as_str())
    }

    /// The axis of `over` whose values are not known yet.
    pub(crate) fn pending_in(&self, over: &[&str]) -> Option<&PendingAxis> {
        self.pending
            .iter()
            .find(|p| over.contains(&p.axis.as_str()))
    }

    /// The most cells that [`Matrix::cells`] can give.
    pub(crate) fn count(&self, over: &[&str]) -> usize {
        let groups = self.groups(over);
        let sizes = groups.iter().map(Vec::len);
        let crossed = sizes.fold(1usize, usize::saturating_mul);
        crossed.saturating_mul(1 + self.include.len())
    }

    /// Every cell of a stage that expands over these axes, the last axis fastest.
    pub(crate) fn cells<'m>(&'m self, over: &[&'m str]) -> Vec<Choice<'m>> {
        let all = cross(&self.groups(over));
        let kept = all.into_iter().filter(|choice| !self.is_excluded(choice));
        let added = self.include.iter().flat_map(|entry| self.add(entry, over));
        let mut seen = BTreeSet::new();
        kept.chain(added)
            .map(|choice| in_order(choice, over))
            .filter(|choice| seen.insert(cell_of(choice)))
            .collect()
    }

    /// Per axis, or per set of zipped axes, its values in the order of the file.
    fn groups<'m>(&'m self, over: &[&'m str]) -> Vec<Vec<Choice<'m>>> {
        let mut groups = Vec::new();
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        for axis in over.iter().filter_map(|name| self.axis(name)) {
            if taken.contains(axis.name.as_str()) {
                continue;
            }
            let zip = self.zips.iter().find(|zip| zip.contains(&axis.name));
            let together: Vec<&Axis> = match zip {
                Some(zip) => zip
                    .iter()
                    .filter(|name| over.contains(&name.as_str()))
                    .filter_map(|name| self.axis(name))
                    .collect(),
                None => vec![axis],
            };
            taken.extend(together.iter().map(|axis| axis.name.as_str()));
            let row = |i: usize| {
                let values = together.iter().map(|a| (a.name.as_str(), &a.values[i]));
                values.collect::<Choice<'m>>()
            };
            groups.push((0..axis.values.len()).map(row).collect());
        }
        groups
    }

    fn is_excluded(&self, choice: &Choice<'_>) -> bool {
        let cell = cell_of(choice);
        self.exclude.iter().any(|entry| {
            entry
                .iter()
                .all(|(axis, values)| cell.get(axis).is_some_and(|v| values.contains(v)))
        })
    }

    /// The cells that one entry of `include` adds to a stage.
    fn add<'m>(&'m self, entry: &'m [(String, Node)], over: &[&'m str]) -> Vec<Choice<'m>> {
        let pairs = entry.iter().map(|(axis, node)| (axis.as_str(), node));
        let own: Choice<'m> = pairs.filter(|(axis, _)| over.contains(axis)).collect();
        if own.is_empty() {
            return Vec::new();
        }
        let named = |axis: &&str| own.iter().any(|(name, _)| name == axis);
        let rest: Vec<&str> = over.iter().copied().filter(|a| !named(a)).collect();
        let mut groups = self.groups(&rest);
        groups.push(vec![own]);
        cross(&groups)
    }
}

/// The product of groups, the last one fastest.
fn cross<'m>(groups: &[Vec<Choice<'m>>]) -> Vec<Choice<'m>> {
    let mut choices: Vec<Choice<'m>> = vec![Vec::new()];
    for group in groups {
        let longer = choices.iter().flat_map(|choice| {
            group
                .iter()
                .map(|more| choice.iter().chain(more).copied().collect())
        });
        choices = longer.collect();
    }
    choices
}

fn in_order<'m>(mut choice: Choice<'m>, over: &[&str]) -> Choice<'m> {
    choice.sort_by_key(|(axis, _)| over.iter().position(|name| name == axis));
    choice
}

/// Reads the section; values from files are read from below `root`.
pub(crate) fn read(
    document: &Node,
    root: &Path,
    options: &Options,
    errors: &mut Vec<SpecError>,
) -> Matrix {
    let mut matrix = Matrix::default();
    let entries = read_map(document, "matrix", errors);
    for (key, node) in entries {
        if ![EXCLUDE, INCLUDE, ZIP].contains(&key.text.as_str()) {
            read_axis(&mut matrix, key, node, document, root, options, errors);
        }
    }
    for (key, node) in entries {
        let read = match key.text.as_str() {
            ZIP => read_zip,
            EXCLUDE => read_exclude,
            INCLUDE => read_include,
            _ => continue,
        };
        let Value::List(items) = &node.value else {
            let message = format!(
                "expected a list under `{}`, found {}",
                key.text,
                node.describe()
            );
            errors.push(SpecError::at(node.span.clone(), message));
            continue;
        };
        for item in items {
            if let Err(error) = read(&mut matrix, item) {
                errors.push(error);
            }
        }
    }
    check_crossed(&matrix, errors);
    matrix
}

fn read_axis(
    matrix: &mut Matrix,
    key: &Key,
    node: &Node,
    document: &Node,
    root: &Path,
    options: &Options,
    errors: &mut Vec<SpecError>,
) {
    let name = &key.text;
    if !is_name(name) {
        errors.push(not_a_name(key, "an axis"));
    }
    let vars = document.get("vars").map(Node::entries).unwrap_or_default();
    if let Some((var, _)) = vars.iter().find(|(var, _)| var.text == *name) {
        let error = SpecError::at(
            var.span.clone(),
            format!("`{name}` is a variable and an axis"),
        );
        errors.push(error.help("rename one of them"));
    }
    let values = match values_of(matrix, name, node, root, options) {
        Ok(values) => values,
        Err(error) => {
            errors.push(error);
            Vec::new()
        }
    };
    let checked = values.iter().map(|value| check_value(name, value));
    errors.extend(checked.filter_map(Result::err));
    matrix.axes.push(Axis {
        name: name.clone(),
        values,
    });
}

/// A list as it is written, the lines of a file, or what a stage has written.
fn values_of(
    matrix: &mut Matrix,
    name: &str,
    node: &Node,
    root: &Path,
    options: &Options,
) -> Result<Vec<Node>, SpecError> {
    let at = |message: String| SpecError::at(node.span.clone(), message);
    match (&node.value, node.entries()) {
        (Value::List(values), _) if values.is_empty() => {
            Err(at(format!("axis `{name}` has no values")))
        }
        (Value::List(values), _) => Ok(values.clone()),
        (_, [(key, place)]) if key.text == "file" => {
            let what = format!("the values of axis `{name}`");
            listed(name, &text_at(root, place, &what)?, place)
        }
        (_, [(key, place)]) if key.text == "output" => {
            let text = text_of(place)?;
            let (stage, output) = text.split_once(':').ok_or_else(|| {
                SpecError::at(
                    place.span.clone(),
                    format!("expected `stage:output`, found `{text}`"),
                )
            })?;
            if let Some(text) = options.written.get(name) {
                return listed(name, text, place);
            }
            matrix.pending.push(PendingAxis {
                axis: name.to_owned(),
                stage: stage.to_owned(),
                output: output.to_owned(),
            });
            Ok(Vec::new())
        }
        (_, [(key, _)]) => {
            let message = format!("unknown key `{}` for axis `{name}`", key.text);
            let error = SpecError::at(key.span.clone(), message);
            Err(error.choices(&key.text, ["file", "output"].into_iter()))
        }
        _ => Err(at(format!(
            "expected a list of values for axis `{name}`, found {}",
            node.describe()
        ))),
    }
}

/// A JSON or YAML list, else one value per line; blank lines and `#` comments are passed over.
fn listed(name: &str, text: &str, place: &Node) -> Result<Vec<Node>, SpecError> {
    // The byte order mark that some editors put first belongs to no value.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let values = match tree::parse_value(text) {
        Ok(Node {
            value: Value::List(values),
            ..
        }) => values.iter().map(|v| v.moved_to(&place.span)).collect(),
        _ => {
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            let nodes = lines.map(|line| tree::scalar_of(line, &place.span));
            nodes.collect::<Vec<Node>>()
        }
    };
    if values.is_empty() {
        let message = format!("axis `{name}` has no values there");
        return Err(SpecError::at(place.span.clone(), message));
    }
    Ok(values)
}

/// Zipped axes may repeat a value; in a crossed one that is a mistake.
fn check_crossed(matrix: &Matrix, errors: &mut Vec<SpecError>) {
    let zipped: BTreeSet<&String> = matrix.zips.iter().flatten().collect();
    for Axis { name, values } in &matrix.axes {
        if !zipped.contains(name) {
            errors.extend(check_repeats(name, values));
        }
    }
}

/// `[model, size]`: axes of the same length that advance together.
fn read_zip(matrix: &mut Matrix, node: &Node) -> Result<(), SpecError> {
    let Value::List(items) = &node.value else {
        let message = format!("expected a list of axes, found {}", node.describe());
        return Err(SpecError::at(node.span.clone(), message));
    };
    let mut zip: Vec<String> = Vec::new();
    for item in items {
        let axis = known_axis(matrix, text_of(item)?, &item.span)?;
        if matrix
            .zips
            .iter()
            .flatten()
            .chain(&zip)
            .any(|a| *a == axis.name)
        {
            let message = format!("axis `{}` is zipped twice", axis.name);
            return Err(SpecError::at(item.span.clone(), message));
        }
        zip.push(axis.name.clone());
    }
    let axes: Vec<&Axis> = zip.iter().filter_map(|name| matrix.axis(name)).collect();
    if let [first, rest @ ..] = axes.as_slice()
        && let Some(other) = rest.iter().find(|a| a.values.len() != first.values.len())
    {
        let message = format!(
            "`{}` has {} values and `{}` has {}: zipped axes have as many",
            first.name,
            first.values.len(),
            other.name,
            other.values.len()
        );
        return Err(SpecError::at(node.span.clone(), message));
    }
    matrix.zips.push(zip);
    Ok(())
}

fn known_axis<'m>(
    matrix: &'m Matrix,
    name: &str,
    span: &Range<usize>,
) -> Result<&'m Axis, SpecError> {
    matrix.axis(name).ok_or_else(|| {
        let message = format!("there is no axis `{name}` in the matrix");
        SpecError::at(span.clone(), message).choices(name, matrix.names())
    })
}

/// The axes of an entry, each of which must be there.
fn entry_axes<'n>(matrix: &Matrix, node: &'n Node) -> Result<&'n [(Key, Node)], SpecError> {
    if node.entries().is_empty() {
        let message = format!("expected `axis: value` pairs, found {}", node.describe());
        return Err(SpecError::at(node.span.clone(), message));
    }
    for (key, _) in node.entries() {
        known_axis(matrix, &key.text, &key.span)?;
    }
    Ok(node.entries())
}

/// `{ model: [a, b], step: 1 }`: a value, or a list of which any counts.
fn read_exclude(matrix: &mut Matrix, node: &Node) -> Result<(), SpecError> {
    let mut entry = BTreeMap::new();
    for (key, value) in entry_axes(matrix, node)? {
        let axis = known_axis(matrix, &key.text, &key.span)?;
        let known: Vec<&str> = axis.values.iter().filter_map(Node::scalar_text).collect();
        let values = match &value.value {
            Value::List(values) => values.iter().collect(),
            _ => vec![value],
        };
        let mut texts = BTreeSet::new();
        for value in values {
            let text = value.scalar_text().unwrap_or_default();
            if !known.is_empty() && !known.contains(&text) {
                let message = format!("axis `{}` has no value `{text}`", key.text);
                let error = SpecError::at(value.span.clone(), message);
                return Err(error.choices(text, known.iter().copied()));
            }
            texts.insert(text.to_owned());
        }
        entry.insert(key.text.clone(), texts);
    }
    matrix.exclude.push(entry);
    Ok(())
}

fn read_include(matrix: &mut Matrix, node: &Node) -> Result<(), SpecError> {
    let mut entry = Vec::new();
    for (key, value) in entry_axes(matrix, node)? {
        check_value(&key.text, value)?;
        entry.push((key.text.clone(), value.clone()));
    }
    matrix.include.push(entry);
    Ok(())
}
