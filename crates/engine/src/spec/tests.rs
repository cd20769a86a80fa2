//! The reader as its users meet it: texts in, graphs or errors out.

mod arbitrary;
mod errors;
mod expansion;
mod limits;
mod matrix;
mod options;
mod params;
mod reading;
mod report;
mod scalars;

use std::fmt::Write;
use std::path::Path;

use super::{Options, Pipeline, SpecError, load};
use crate::testing::FakeRegistry;

fn load_with(text: &str, options: &Options) -> Result<Pipeline, Vec<SpecError>> {
    load(Path::new("/study"), text, options, &FakeRegistry::default())
}

fn load_plain(text: &str) -> Result<Pipeline, Vec<SpecError>> {
    load_with(text, &Options::default())
}

/// A pipeline without mistakes.
fn loaded(text: &str) -> Pipeline {
    load_plain(text).unwrap_or_else(|errors| panic!("{}", render(text, &errors)))
}

/// A line per node: label, then the parameters `text` and `count`.
fn nodes(pipeline: &Pipeline) -> Vec<String> {
    let line = |node: &crate::graph::Node| {
        let params = node.work.params();
        format!("{} {}{}", node.label(), params["text"], params["count"])
    };
    pipeline.graph.dag.node_weights().map(line).collect()
}

/// Errors with line and column, the first line of what they point at, label and help.
fn render(text: &str, errors: &[SpecError]) -> String {
    let mut out = String::new();
    for error in errors {
        let message = &error.message;
        match &error.span {
            None => writeln!(out, "- {message}"),
            Some(span) => {
                let before = &text[..span.start];
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
                let at = text[span.clone()].lines().next().unwrap_or("");
                writeln!(out, "{line}:{column} {message}\n    at: {at}")
            }
        }
        .unwrap();
        for (name, note) in [("label", &error.label), ("help", &error.help)] {
            if let Some(note) = note {
                writeln!(out, "    {name}: {note}").unwrap();
            }
        }
    }
    out
}
