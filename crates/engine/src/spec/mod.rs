//! pipeline.yaml: from text with positions to a graph of nodes.
//!
//! [`tree`](self) text → tree with spans (the only use of the YAML library) → profile and `--set`
//! merged → stages expanded over their axes with variables substituted → [`Graph`]. Every error is a
//! [`SpecError`] with the span it is about; all that can be found at once are reported at once.

mod de;
mod error;
mod expand;
mod exports;
mod file;
mod join;
mod limits;
mod matrix;
mod merge;
mod number;
mod order;
mod params;
mod remote;
mod report;
mod source;
mod tree;
mod values;
mod vars;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::SpecError;
pub(crate) use error::nearest;
pub use matrix::PendingAxis;
pub use number::whole_number;
pub use params::Params;
pub use remote::{HubSource, RepoKind, Take, Unpack, UrlSource, without_query};
pub use report::{REPORT, ReportSpec};
pub use source::{Location, PinLine, SourceEntry};

use crate::error::EngineError;
use crate::graph::Graph;
use crate::lock::Lock;
use crate::regular;
use crate::stage::Stage;

/// What the command line says besides the file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Profile to use instead of the default one.
    pub profile: Option<String>,
    /// Variables, or dotted paths into the document, with YAML values.
    pub sets: Vec<(String, String)>,
    /// Axis → what a stage has written as its values, for axes that are [`PendingAxis`] without it.
    pub written: BTreeMap<String, String>,
    /// What remote sources were found to be.
    pub lock: Lock,
}

/// The kinds of stages that a program knows.
pub trait Registry {
    /// Their names, as written under `run:`.
    fn kinds(&self) -> &[&'static str];

    /// Builds the stage of one node.
    ///
    /// # Errors
    /// When the parameters are not what the kind takes.
    fn build(&self, kind: &str, params: Params<'_>) -> Result<Arc<dyn Stage>, SpecError>;
}

/// A pipeline, resolved for one profile.
pub struct Pipeline {
    /// Every node.
    pub graph: Graph,
    /// Name of the study.
    pub name: Option<String>,
    /// What the page about a run says; none if no such page is wanted.
    pub report: Option<ReportSpec>,
    /// The selected profile, if the file has any.
    pub profile: Option<String>,
    /// Whether that is the default one.
    pub default_profile: bool,
    /// Folder that relative paths start from.
    pub root: PathBuf,
    /// Files and folders outside the cache, local or not, by name.
    pub sources: BTreeMap<String, SourceEntry>,
    /// Axes whose values have yet to be written.
    pub pending: Vec<PendingAxis>,
    /// Stages without nodes until those values are known.
    pub waiting: Vec<String>,
    /// Declared capacities by pool.
    pub pools: BTreeMap<String, u64>,
}

/// Reads a pipeline file.
///
/// # Errors
/// Every problem that could be found, in the order of the file.
pub fn load(
    root: &Path,
    text: &str,
    options: &Options,
    registry: &dyn Registry,
) -> Result<Pipeline, Vec<SpecError>> {
    let mut document = tree::parse(text).map_err(|error| vec![error])?;
    if !matches!(document.value, tree::Value::Map(_)) {
        let message = format!("expected a mapping, found {}", document.describe());
        return Err(vec![SpecError::at(document.span, message)]);
    }
    let mut errors = Vec::new();
    let wanted = options.profile.as_deref();
    let profile = merge::apply_profile(&mut document, wanted, &mut errors);
    if wanted.is_some() && profile.is_none() {
        // All that the profile would have set would be missing, too.
        return Err(in_order(errors));
    }
    merge::apply_sets(&mut document, &options.sets, &mut errors);
    let file = file::read(&document, root, options, &mut errors);
    let sources = source::read(root, &file, &options.lock, &mut errors);
    let expansion = expand::expand(root, &file, &sources, registry, &mut errors);
    let graph = Graph { dag: expansion.dag };
    let complete = errors.is_empty() && expansion.waiting.is_empty();
    let report = report::read(&document, root, &graph, complete, &mut errors);
    if !errors.is_empty() {
        return Err(in_order(errors));
    }
    Ok(Pipeline {
        graph,
        name: file.name,
        report,
        default_profile: profile == file.default_profile,
        profile,
        root: root.to_owned(),
        sources,
        pending: file.matrix.pending,
        waiting: expansion.waiting,
        pools: file.pools,
    })
}

/// Reads a YAML text as `T`, with positions in its errors.
pub(crate) fn from_text<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, SpecError> {
    de::from_tree(&tree::parse(text)?)
}

/// The text of the file that `place` names; `what` says what is read there.
fn text_at(root: &Path, place: &tree::Node, what: &str) -> Result<String, SpecError> {
    let path = root.join(file::text_of(place)?);
    regular::read_text(&path).map_err(|error| {
        let message = match error {
            EngineError::Io { source, .. } => {
                format!("cannot read {what} from {}: {source}", path.display())
            }
            other => format!("cannot read {what}: {other}"),
        };
        SpecError::at(place.span.clone(), message)
    })
}

/// Errors as they stand in the file, those about the command line first, each once.
fn in_order(mut errors: Vec<SpecError>) -> Vec<SpecError> {
    errors.sort_by_key(|error| error.span.as_ref().map(|span| (span.start, span.end)));
    errors.dedup();
    errors
}

#[cfg(test)]
mod tests;
