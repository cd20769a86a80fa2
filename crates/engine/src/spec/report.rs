//! The `report:` section: what the page about a run says and shows.

use std::path::Path;

use super::error::SpecError;
use super::file::{check_keys, text_of, texts};
use super::text_at;
use super::tree::Node;
use super::vars::Scope;
use crate::graph::Graph;
use crate::stage::OutputKind;

/// Where the report lies below the outputs of a profile.
pub const REPORT: &str = "report.html";

const KEYS: [&str; 4] = ["title", "text", "tables", "figures"];

/// What a report is asked to say and show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportSpec {
    /// Its title; without one the pipeline's name is.
    pub title: Option<String>,
    /// Words about the study, in Markdown.
    pub text: Option<String>,
    /// Exported tables in the order in which they are shown; all, if it is not said which.
    pub tables: Option<Vec<String>>,
    /// Exported figures in the order in which they are shown; all, if it is not said which.
    pub figures: Option<Vec<String>>,
}

/// Reads the section; none if the file has none. `complete` says that every node is in the graph.
pub(crate) fn read(
    document: &Node,
    root: &Path,
    graph: &Graph,
    complete: bool,
    errors: &mut Vec<SpecError>,
) -> Option<ReportSpec> {
    let section = document.get("report")?;
    if !section.is_map_or_null() {
        let message = format!(
            "expected a mapping under `report`, found {}",
            section.describe()
        );
        errors.push(SpecError::at(section.span.clone(), message));
        return None;
    }
    check_keys(section, &KEYS, "`report`", errors);
    let exports = exports_of(graph);
    errors.extend(clash(section, &exports));
    let mut reader = Reader {
        section,
        root,
        scope: Scope {
            vars: document.get("vars"),
            axes: Vec::new(),
            absent: Vec::new(),
        },
        exports: complete.then_some(exports),
        errors,
    };
    Some(ReportSpec {
        title: reader.text("title", Reader::words),
        text: reader.text("text", Reader::words_or_file),
        tables: reader.names("tables"),
        figures: reader.names("figures"),
    })
}

/// Every exported file or folder.
fn exports_of(graph: &Graph) -> Vec<(String, OutputKind)> {
    let nodes = graph.dag.node_weights();
    nodes
        .flat_map(crate::graph::Node::exports)
        .map(|(path, output)| (path, output.kind))
        .collect()
}

/// A stage may not put a file of its own where the report goes.
fn clash(section: &Node, exports: &[(String, OutputKind)]) -> Option<SpecError> {
    let taken = exports.iter().any(|(path, _)| path == REPORT);
    taken.then(|| {
        let message = format!("a stage exports to outputs/{REPORT}, where the report goes");
        SpecError::at(section.span.clone(), message)
            .help("give that output another name or folder, or leave out `report`")
    })
}

struct Reader<'r, 'e> {
    section: &'r Node,
    root: &'r Path,
    scope: Scope<'r>,
    exports: Option<Vec<(String, OutputKind)>>,
    errors: &'e mut Vec<SpecError>,
}

impl Reader<'_, '_> {
    fn text(
        &mut self,
        key: &str,
        read: fn(&Self, &Node) -> Result<String, SpecError>,
    ) -> Option<String> {
        let node = self.section.get(key)?;
        match read(self, node) {
            Ok(text) => Some(text),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn words(&self, node: &Node) -> Result<String, SpecError> {
        self.scope.interpolate(text_of(node)?, &node.span)
    }

    /// A text, or `{ file: PATH }`.
    fn words_or_file(&self, node: &Node) -> Result<String, SpecError> {
        match node.entries() {
            [] => self.words(node),
            [(key, place)] if key.text == "file" => text_at(self.root, place, "the report's text"),
            [(key, _), ..] => {
                let message = format!("unknown key `{}` in `text`", key.text);
                let error = SpecError::at(key.span.clone(), message);
                Err(error.help("write the text itself, or `{ file: PATH }`"))
            }
        }
    }

    /// Paths below outputs/ that some stage exports.
    fn names(&mut self, key: &str) -> Option<Vec<String>> {
        let node = self.section.get(key)?;
        let names = texts(Some(node), "a list of exported files", self.errors);
        for (name, span) in &names {
            if let Some(exports) = &self.exports
                && !is_exported(exports, name)
            {
                let message = format!("no stage exports `{name}`");
                let paths = exports.iter().map(|(path, _)| path.as_str());
                let error = SpecError::at(span.clone(), message);
                self.errors.push(error.choices(name, paths));
            }
        }
        Some(names.into_iter().map(|(name, _)| name.to_owned()).collect())
    }
}

/// Whether a file is exported by itself or may be in an exported folder.
fn is_exported(exports: &[(String, OutputKind)], name: &str) -> bool {
    exports.iter().any(|(path, kind)| match kind {
        OutputKind::File => path == name,
        OutputKind::Dir => name
            .strip_prefix(path.as_str())
            .is_some_and(|rest| rest.starts_with('/')),
    })
}
