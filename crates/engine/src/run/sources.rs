use std::cell::LazyCell;
use std::path::PathBuf;

use petgraph::graph::NodeIndex;

use crate::digest::Pin;
use crate::error::EngineError;
use crate::plan::{Workspace, known_despite};

/// A source that is not what it is declared to be, found before any work starts.
#[derive(Clone, Debug)]
pub struct SourceProblem {
    /// Where it should lie.
    pub path: PathBuf,
    /// The declared digest.
    pub expected: Option<Pin>,
    /// The digest found; none if nothing is there.
    pub found: Option<Pin>,
}

/// Compares the sources that `targets` need with what they are declared to be.
///
/// A source that is gone is a problem only if its content is not in the cache.
pub fn check_sources(
    workspace: &Workspace<'_>,
    targets: &[NodeIndex],
) -> Result<Vec<SourceProblem>, EngineError> {
    let mut problems = Vec::new();
    // Looked up only where a source is gone; what needs one without a digest is not on record.
    let known = LazyCell::new(|| known_despite(workspace, targets, drop));
    for index in workspace.graph.ancestors(targets) {
        for source in workspace.node(index).work.sources() {
            let found = match (&source.pin, source.path.exists()) {
                (Some(pin), true) => Some(workspace.stats.digest(&source.path, pin.algorithm)?),
                (None, true) => continue,
                (_, false) if known[index.index()].is_some() => continue,
                (_, false) => None,
            };
            if found.is_none() || found != source.pin {
                problems.push(SourceProblem {
                    path: source.path,
                    expected: source.pin,
                    found,
                });
            }
        }
    }
    Ok(problems)
}
