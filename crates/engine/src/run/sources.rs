use std::cell::OnceCell;
use std::path::PathBuf;

use petgraph::graph::NodeIndex;

use crate::digest::Pin;
use crate::error::EngineError;
use crate::manifest::Manifest;
use crate::plan::{Resolution, Workspace, unmade_input};

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
    // Looked up only where a source is gone.
    let known = OnceCell::new();
    let is_recorded = |index: NodeIndex| {
        known.get_or_init(|| recorded(workspace, targets))[index.index()].is_some()
    };
    for index in workspace.graph.ancestors(targets) {
        for source in workspace.node(index).work.sources() {
            let found = match (&source.pin, source.path.exists()) {
                (Some(pin), true) => Some(workspace.stats.digest(&source.path, pin.algorithm)?),
                (None, true) => continue,
                (_, false) if is_recorded(index) => continue,
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

/// The manifests of what `targets` need, as far as they are on record; a source without a known digest is
/// no error here, but what needs it is not on record.
fn recorded(workspace: &Workspace<'_>, targets: &[NodeIndex]) -> Vec<Option<Manifest>> {
    let mut known = vec![None; workspace.graph.dag.node_count()];
    for index in workspace.graph.ancestors(targets) {
        if unmade_input(workspace, index, &known).is_none()
            && let Ok(Resolution::Hit(_, manifest)) = workspace.resolve(index, &known)
        {
            known[index.index()] = Some(manifest);
        }
    }
    known
}
