//! The files that a node reads: of an upstream artifact, or of a source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::EngineError;
use crate::tree::{Tree, copy_file};

/// Files to read, which are not the node's own.
#[derive(Clone, Debug, Default)]
pub struct InputFiles {
    tree: Tree<PathBuf>,
    is_folder: bool,
    by_name: BTreeMap<String, PathBuf>,
}

impl InputFiles {
    /// One file.
    pub fn file(name: &str, path: &Path, executable: bool) -> Self {
        Self::new(Tree::of_file(name, path.to_owned(), executable), false)
    }

    /// A folder.
    pub fn folder(tree: Tree<PathBuf>) -> Self {
        Self::new(tree, true)
    }

    fn new(tree: Tree<PathBuf>, is_folder: bool) -> Self {
        let files = tree.files().into_iter();
        Self {
            by_name: files.map(|(name, path)| (name, path.clone())).collect(),
            tree,
            is_folder,
        }
    }

    /// Relative name → where to read it. Links to files are among them; a folder that links lead to
    /// is named once.
    pub fn by_name(&self) -> &BTreeMap<String, PathBuf> {
        &self.by_name
    }

    /// The path of the file, if it is one file and no folder.
    pub fn only(&self) -> Option<&Path> {
        let mut paths = self.by_name.values();
        let path = paths.next().filter(|_| !self.is_folder)?;
        Some(path)
    }

    /// Copies a file into `folder`, or a folder's entries.
    ///
    /// # Errors
    /// When something can't be read or written.
    pub fn place_below(&self, folder: &Path) -> Result<(), EngineError> {
        self.tree.place(folder, |from, to, executable| {
            copy_file(from, to, executable).map_err(|e| EngineError::io("copy to", to, e))
        })
    }

    /// Copies a file to `target`, or a folder's entries below it: what is done to the copy cannot
    /// reach the original.
    ///
    /// # Errors
    /// When something can't be read or written.
    pub fn place(&self, target: &Path) -> Result<(), EngineError> {
        if self.is_folder {
            return self.place_below(target);
        }
        let folder = target.parent().unwrap_or(target);
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let file = self.tree.0.values().next().cloned();
        let renamed = file.map(|entry| (name.into_owned(), entry));
        let tree = Tree(renamed.into_iter().collect());
        Self::new(tree, false).place_below(folder)
    }
}

impl FromIterator<(String, PathBuf)> for InputFiles {
    /// A folder of plain files.
    fn from_iter<I: IntoIterator<Item = (String, PathBuf)>>(files: I) -> Self {
        Self::folder(Tree::of_files(files))
    }
}
