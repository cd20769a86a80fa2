//! pipeline.yaml: from text with positions to a graph of nodes.
//!
//! [`tree`](self) text → tree with spans (the only use of the YAML library) → profile and `--set`
//! merged → stages expanded over their axes with variables substituted → [`Graph`]. Every error is a
//! [`SpecError`] with the span it is about; all that can be found at once are reported at once.

mod de;
mod error;
mod expand;
mod file;
mod merge;
mod params;
mod source;
mod tree;
mod vars;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::SpecError;
pub(crate) use error::nearest;
pub use params::Params;
pub use source::SourceEntry;

use crate::graph::Graph;
use crate::stage::Stage;

/// What the command line says besides the file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Profile to use instead of the default one.
    pub profile: Option<String>,
    /// Variables, or dotted paths into the document, with YAML values.
    pub sets: Vec<(String, String)>,
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
    /// The selected profile, if the file has any.
    pub profile: Option<String>,
    /// Whether that is the default one.
    pub default_profile: bool,
    /// Folder that relative paths start from.
    pub root: PathBuf,
    /// Files and folders outside the cache, by name.
    pub sources: BTreeMap<String, SourceEntry>,
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
    let one = |error| vec![error];
    let mut document = tree::parse(text).map_err(one)?;
    let profile = merge::apply_profile(&mut document, options.profile.as_deref()).map_err(one)?;
    merge::apply_sets(&mut document, &options.sets).map_err(one)?;
    let file = file::read(&document)?;
    let sources = source::read(root, &file)?;
    let default_profile = profile == file.default_profile;
    let graph = expand::expand(root, &file, &sources, registry)?;
    Ok(Pipeline {
        graph,
        profile,
        default_profile,
        root: root.to_owned(),
        sources,
    })
}

#[cfg(test)]
mod tests;
