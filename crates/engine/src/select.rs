//! Selectors: which nodes a person means.
//!
//! `stage`, `stage[axis=value,…]`, each part with `*` for any characters; `+` in front adds all
//! that the nodes need, `+` behind adds all that need them.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;

use crate::graph::{Graph, Node};
use crate::spec::nearest;

impl Graph {
    /// The nodes that any of the selectors names, in graph order.
    ///
    /// # Errors
    /// A message with the nearest names when a selector matches nothing.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<NodeIndex>, String> {
        let mut selected = BTreeSet::new();
        for text in selectors {
            let selector = Selector::parse(text)?;
            let all = self.dag.node_indices();
            let found: Vec<NodeIndex> = all.filter(|i| selector.matches(&self.dag[*i])).collect();
            if found.is_empty() {
                return Err(self.nothing_matches(text, &selector));
            }
            if selector.ancestors {
                selected.extend(self.ancestors(&found));
            }
            if selector.descendants {
                selected.extend(self.descendants(&found));
            }
            selected.extend(found);
        }
        Ok(selected.into_iter().collect())
    }

    fn nothing_matches(&self, text: &str, selector: &Selector<'_>) -> String {
        let is_of_stage = |n: &&Node| matches(selector.stage, &n.stage);
        let of_stage: Vec<&Node> = self.dag.node_weights().filter(is_of_stage).collect();
        if of_stage.is_empty() {
            let stages = self.dag.node_weights().map(|n| n.stage.as_str()).collect();
            return nothing(text, "stages", selector.stage, &stages);
        }
        let axes: BTreeSet<&str> = of_stage
            .iter()
            .flat_map(|n| n.cell.0.keys().map(String::as_str))
            .collect();
        for (axis, value) in &selector.cell {
            if !axes.contains(axis) {
                let what = format!("axes of `{}`", selector.stage);
                return nothing(text, &what, axis, &axes);
            }
            let values: BTreeSet<&str> = of_stage.iter().filter_map(|n| n.cell.get(axis)).collect();
            if !values.iter().any(|v| matches(value, v)) {
                return nothing(text, &format!("values of `{axis}`"), value, &values);
            }
        }
        format!("`{text}` matches nothing: no node has all of these values")
    }
}

fn nothing(text: &str, what: &str, found: &str, names: &BTreeSet<&str>) -> String {
    let list: Vec<&str> = names.iter().copied().collect();
    let list = if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    };
    let hint = nearest(found, names.iter().copied())
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    format!("`{text}` matches nothing (the {what}: {list}){hint}")
}

struct Selector<'s> {
    stage: &'s str,
    cell: Vec<(&'s str, &'s str)>,
    ancestors: bool,
    descendants: bool,
}

impl<'s> Selector<'s> {
    fn parse(text: &'s str) -> Result<Self, String> {
        let expected =
            || format!("`{text}` is not a selector; expected `stage` or `stage[axis=value,…]`");
        let (ancestors, inner) = strip(text, str::strip_prefix);
        let (descendants, inner) = strip(inner, str::strip_suffix);
        let (stage, cell) = match inner.split_once('[') {
            None => (inner, Vec::new()),
            Some((stage, rest)) => {
                let pairs = rest.strip_suffix(']').ok_or_else(expected)?;
                let pair = |pair: &'s str| pair.split_once('=').ok_or_else(expected);
                (stage, pairs.split(',').map(pair).collect::<Result<_, _>>()?)
            }
        };
        if stage.is_empty() {
            return Err(expected());
        }
        Ok(Self {
            stage,
            cell,
            ancestors,
            descendants,
        })
    }

    fn matches(&self, node: &Node) -> bool {
        let has =
            |(axis, value): &(&str, &str)| node.cell.get(axis).is_some_and(|v| matches(value, v));
        matches(self.stage, &node.stage) && self.cell.iter().all(has)
    }
}

fn strip<'s>(text: &'s str, side: fn(&'s str, char) -> Option<&'s str>) -> (bool, &'s str) {
    match side(text, '+') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// Whether `text` fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    let starts = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
    starts.into_iter().any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("nano-*k", "nano-25k"));
        assert!(matches("*", ""));
        assert!(!matches("nano-*k", "nano-25"));
        assert!(matches("a*b*c", "axxbyyc"));
    }
}
