//! `${name}` in texts: variables and the axes of the cell.

use std::ops::Range;

use super::error::SpecError;
use super::tree::{Node, Value};
use crate::cell::Cell;

/// What names stand for.
pub(crate) struct Scope<'s> {
    pub(crate) vars: Option<&'s Node>,
    /// Values of the axes, as they stand in the file.
    pub(crate) axes: Vec<(&'s str, &'s Node)>,
    /// Axes of the matrix that have no value here.
    pub(crate) absent: Vec<&'s str>,
}

impl<'s> Scope<'s> {
    fn lookup(&self, name: &str, span: &Range<usize>) -> Result<&'s Node, SpecError> {
        let axis = self.axes.iter().find(|(axis, _)| *axis == name);
        axis.map(|(_, node)| *node)
            .or_else(|| self.vars.and_then(|vars| vars.get(name)))
            .ok_or_else(|| self.unknown(name, span))
    }

    fn unknown(&self, name: &str, span: &Range<usize>) -> SpecError {
        if self.absent.contains(&name) {
            let message = format!("the stage does not expand over axis `{name}`");
            return SpecError::at(span.clone(), message).help(format!("add `{name}` to `over`"));
        }
        let vars = self.vars.map(Node::entries).unwrap_or_default();
        let names = vars.iter().map(|(key, _)| key.text.as_str());
        let names = names.chain(self.axes.iter().map(|(axis, _)| *axis));
        let message = format!("there is no variable or axis `{name}` here");
        SpecError::at(span.clone(), message).choices(name, names)
    }

    /// The node with every variable replaced.
    pub(crate) fn substitute(&self, node: &Node) -> Result<Node, SpecError> {
        let value = match &node.value {
            Value::Text(text) => return self.substitute_text(text, &node.span),
            Value::List(items) => Value::List(
                items
                    .iter()
                    .map(|n| self.substitute(n))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, n)| Ok((key.clone(), self.substitute(n)?)))
                    .collect::<Result<_, SpecError>>()?,
            ),
            scalar @ Value::Plain(_) => scalar.clone(),
        };
        Ok(Node {
            span: node.span.clone(),
            value,
        })
    }

    /// A text that is nothing but `${name}` takes the value's type; else values are put into it.
    fn substitute_text(&self, text: &str, span: &Range<usize>) -> Result<Node, SpecError> {
        if let Some(name) = text
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            && !name.contains(['$', '{', '}'])
        {
            return Ok(self.lookup(name, span)?.moved_to(span));
        }
        let value = Value::Text(self.interpolate(text, span)?);
        Ok(Node {
            span: span.clone(),
            value,
        })
    }

    /// A text with values put in; `$${` stands for `${`.
    pub(crate) fn interpolate(&self, text: &str, span: &Range<usize>) -> Result<String, SpecError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                out.extend([before, "${"]);
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let (name, after) = rest[at + 2..].split_once('}').ok_or_else(|| {
                SpecError::at(span.clone(), "`${` without `}`")
                    .help("write `$${` for a literal `${`")
            })?;
            let value = self.lookup(name, span)?;
            let text = value.scalar_text().ok_or_else(|| {
                SpecError::at(
                    span.clone(),
                    format!("`{name}` is {}, not a text", value.describe()),
                )
            })?;
            out.push_str(text);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The cell that a choice of axis values is.
pub(crate) fn cell_of(axes: &[(&str, &Node)]) -> Cell {
    let pairs = axes.iter().map(|(axis, node)| {
        // Axis values are scalars: the file reader refuses others.
        (
            (*axis).to_owned(),
            node.scalar_text().unwrap_or_default().to_owned(),
        )
    });
    Cell(pairs.collect())
}

/// The first text in a tree that refers to a variable.
pub(crate) fn find_reference(node: &Node) -> Option<&Node> {
    match &node.value {
        Value::Text(text) => {
            let literal = text.replace("$${", "");
            literal.contains("${").then_some(node)
        }
        Value::List(items) => items.iter().find_map(find_reference),
        Value::Map(entries) => entries.iter().find_map(|(_, node)| find_reference(node)),
        Value::Plain(_) => None,
    }
}
