use std::cell::LazyCell;
use std::path::PathBuf;

use petgraph::graph::NodeIndex;

use crate::digest::Pin;
use crate::error::EngineError;
use crate::plan::{Workspace, known_despite};
use crate::seen::is_gone;

/// A source that is not what it is declared to be, found before any work starts.
#[derive(Clone, Debug)]
pub struct SourceProblem {
    /// Where it should lie.
    pub path: PathBuf,
    /// Label of the node that needs it.
    pub node: String,
    /// The declared digest.
    pub expected: Option<Pin>,
    /// The digest found; none if nothing is there.
    pub found: Option<Pin>,
    /// Whether it is known what it was when it was last there.
    pub is_known: bool,
}

/// Compares the sources that `targets` need with what they are declared to be.
///
/// A source that is gone is a problem only if the node that reads it is not in the cache.
pub fn check_sources(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
) -> Result<Vec<SourceProblem>, EngineError> {
    let mut problems = Vec::new();
    // Looked up only where a source is gone; what reads one that nobody has seen is not on record.
    let known = LazyCell::new(|| known_despite(workspace, targets, drop));
    for index in workspace.graph.ancestors(targets) {
        for source in workspace.node(index).work.sources() {
            let found = match (&source.pin, !is_gone(&source.path)) {
                (Some(pin), true) => Some(workspace.stats.digest(&source.path, pin.algorithm)?),
                (None, true) => continue,
                (_, false) if known[index.index()].is_some() => continue,
                (_, false) => None,
            };
            let is_told = problems
                .iter()
                .any(|p: &SourceProblem| p.path == source.path);
            if !is_told && (found.is_none() || found != source.pin) {
                problems.push(SourceProblem {
                    node: workspace.node(index).label().to_owned(),
                    is_known: source.pin.is_some() || workspace.last_seen(&source.path).is_some(),
                    path: source.path,
                    expected: source.pin,
                    found,
                });
            }
        }
    }
    Ok(problems)
}
