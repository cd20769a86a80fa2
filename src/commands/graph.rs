use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::cli::{GraphArgs, GraphFormat, PipelineArgs};
use crate::error::CliError;
use crate::session::Session;

pub(crate) fn graph(pipeline: &PipelineArgs, args: &GraphArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let drawing = Drawing::of(&session, &session.select(&args.selectors)?, args.nodes);
    let text = match args.format {
        GraphFormat::Text => drawing.text(),
        GraphFormat::Dot => drawing.dot(),
        GraphFormat::Mermaid => drawing.mermaid(),
    };
    super::print(&text)?;
    Ok(0)
}

/// Names and the pairs of them that are joined.
struct Drawing {
    /// Name → how many nodes it stands for, in graph order.
    names: Vec<(String, usize)>,
    edges: BTreeSet<(usize, usize)>,
}

impl Drawing {
    fn of(session: &Session, chosen: &[NodeIndex], every_node: bool) -> Self {
        let dag = &session.pipeline.graph.dag;
        let chosen: BTreeSet<_> = chosen.iter().copied().collect();
        let name = |index: NodeIndex| {
            let node = &dag[index];
            if every_node {
                node.label().to_owned()
            } else {
                node.stage.clone()
            }
        };
        let mut names: Vec<(String, usize)> = Vec::new();
        let mut places = BTreeMap::new();
        for index in chosen.iter().copied() {
            let place = *places.entry(name(index)).or_insert_with(|| {
                names.push((name(index), 0));
                names.len() - 1
            });
            names[place].1 += 1;
        }
        let edges = dag
            .edge_references()
            .filter(|edge| chosen.contains(&edge.source()) && chosen.contains(&edge.target()))
            .map(|edge| (places[&name(edge.source())], places[&name(edge.target())]))
            .collect();
        Self { names, edges }
    }

    fn title(&self, place: usize) -> String {
        match &self.names[place] {
            (name, 1) => name.clone(),
            (name, count) => format!("{name} × {count}"),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for place in 0..self.names.len() {
            let needs: Vec<String> = self
                .edges
                .iter()
                .filter(|(_, down)| *down == place)
                .map(|(up, _)| self.names[*up].0.clone())
                .collect();
            let arrow = if needs.is_empty() { "" } else { " ← " };
            writeln!(text, "{}{arrow}{}", self.title(place), needs.join(", "))
                .expect("writing to a string does not fail");
        }
        text
    }

    fn dot(&self) -> String {
        let mut text = "digraph cpipe {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
        for place in 0..self.names.len() {
            writeln!(text, "  n{place} [label={:?}];", self.title(place))
                .expect("writing to a string does not fail");
        }
        for (up, down) in &self.edges {
            writeln!(text, "  n{up} -> n{down};").expect("writing to a string does not fail");
        }
        text + "}\n"
    }

    fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for place in 0..self.names.len() {
            writeln!(text, "  n{place}[\"{}\"]", self.title(place))
                .expect("writing to a string does not fail");
        }
        for (up, down) in &self.edges {
            writeln!(text, "  n{up} --> n{down}").expect("writing to a string does not fail");
        }
        text
    }
}
