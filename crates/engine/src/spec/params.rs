//! A stage's parameters on their way to the code that knows them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::de;
use super::error::SpecError;
use super::source::SourceEntry;
use super::tree::Node;
use crate::stage::SourceFile;

/// The parameters of one node, variables substituted, with their positions.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    pub(crate) node: &'a Node,
    pub(crate) root: &'a Path,
    pub(crate) sources: &'a BTreeMap<String, SourceEntry>,
}

impl<'a> Params<'a> {
    /// Reads them as `T`.
    ///
    /// # Errors
    /// An unknown key, a missing key, a wrong type: at the place where it stands.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, SpecError> {
        de::from_tree(self.node)
    }

    /// An error about the value at a dotted path (list places count from 0), or about what is
    /// written nearest to it.
    pub fn invalid(&self, path: &str, message: impl Into<String>) -> SpecError {
        let mut node = self.node;
        for step in path.split('.') {
            let Some(inner) = node.step(step) else { break };
            node = inner;
        }
        SpecError::at(node.span.clone(), message)
    }

    /// The source called `name`, which stands under `field`.
    ///
    /// # Errors
    /// When there is none, with the nearest names.
    pub fn source(&self, field: &str, name: &str) -> Result<&'a SourceEntry, SpecError> {
        self.sources.get(name).ok_or_else(|| {
            let error = self.invalid(field, format!("there is no source `{name}`"));
            error.choices(name, self.sources.keys().map(String::as_str))
        })
    }

    /// The source called `name`, which must be a local file or folder.
    ///
    /// # Errors
    /// When there is none, or it is remote: a `download` stage brings that.
    pub fn local_source(&self, field: &str, name: &str) -> Result<SourceFile, SpecError> {
        let entry = self.source(field, name)?;
        let Some(path) = entry.path() else {
            let error = self.invalid(field, format!("source `{name}` is not a local file"));
            return Err(error.help("give it a `path`"));
        };
        Ok(SourceFile {
            name: "source".to_owned(),
            path: path.to_owned(),
            pin: entry.pin.clone(),
            keeps_name: false,
        })
    }

    /// Folder of the pipeline file.
    pub fn root(&self) -> &'a Path {
        self.root
    }
}
