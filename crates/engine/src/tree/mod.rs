//! What a folder holds: files, links to places inside it, and empty folders, each by its relative name.
//!
//! [`walk`] reads a tree from disk, [`Tree::place`] writes one, and [`Tree::to_text`] gives the
//! listing whose digest identifies a folder. Nothing here follows a link to change what it leads to.

mod copy;
mod fault;
mod listing;
mod remove;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;

pub(crate) use copy::create;
pub use copy::{copy_file, shares_blocks};
pub use fault::{Fault, shown};
pub use remove::remove;
pub(crate) use walk::open_up;
pub use walk::{Links, is_executable, pin, walk};

use crate::error::EngineError;

/// Most links that are followed one after the other, as on Linux.
const MOST_HOPS: usize = 40;

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<C> {
    /// A regular file.
    File {
        /// Its content: a path, or a digest.
        content: C,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link to a place inside the same folder: the target, relative to the link.
    Link(String),
    /// A folder that holds nothing.
    Folder,
}

/// The entries of a folder by relative name, with `/` between the parts of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree<C>(pub BTreeMap<String, Entry<C>>);

impl<C> Default for Tree<C> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// Why a link leads to no place inside its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Astray {
    /// To a place outside.
    Outside,
    /// To a name that does not exist.
    Nowhere,
    /// To itself, by way of other links.
    Circle,
    /// To one folder more than may be reached by links.
    Maze,
}

impl<C> Tree<C> {
    /// A tree of one plain file.
    pub fn of_file(name: &str, content: C, executable: bool) -> Self {
        let entry = Entry::File {
            content,
            executable,
        };
        Self(BTreeMap::from([(name.to_owned(), entry)]))
    }

    /// A tree of plain files.
    pub fn of_files(files: impl IntoIterator<Item = (String, C)>) -> Self {
        let file = |(name, content)| {
            let executable = false;
            let entry = Entry::File {
                content,
                executable,
            };
            (name, entry)
        };
        Self(files.into_iter().map(file).collect())
    }

    /// The content of every file, without its name.
    pub fn contents(&self) -> impl Iterator<Item = &C> {
        self.0.values().filter_map(|entry| match entry {
            Entry::File { content, .. } => Some(content),
            Entry::Link(_) | Entry::Folder => None,
        })
    }

    /// The content under every name of a file, those that are links included. What lies in a folder
    /// is named once, whatever links lead to that folder.
    pub fn files(&self) -> BTreeMap<String, &C> {
        let content = |name: &str| match self.0.get(name)? {
            Entry::File { content, .. } => Some(content),
            Entry::Link(_) | Entry::Folder => None,
        };
        let file = |(name, entry): (&String, &Entry<C>)| {
            let found = match entry {
                Entry::Link(_) => content(&self.follow(name).ok()?),
                Entry::File { .. } | Entry::Folder => content(name),
            };
            Some((name.clone(), found?))
        };
        self.0.iter().filter_map(file).collect()
    }

    /// The same tree with other contents.
    pub fn try_map<D, E>(
        &self,
        mut change: impl FnMut(&str, &C) -> Result<D, E>,
    ) -> Result<Tree<D>, E> {
        let mut entries = BTreeMap::new();
        for (name, entry) in &self.0 {
            let entry = match entry {
                Entry::File {
                    content,
                    executable,
                } => Entry::File {
                    content: change(name, content)?,
                    executable: *executable,
                },
                Entry::Link(target) => Entry::Link(target.clone()),
                Entry::Folder => Entry::Folder,
            };
            entries.insert(name.clone(), entry);
        }
        Ok(Tree(entries))
    }

    /// The name that a link comes to: of a file or folder, or the empty name of the tree itself.
    pub fn follow(&self, link: &str) -> Result<String, Astray> {
        let mut hops = 0;
        let mut at: Vec<String> = Vec::new();
        let mut rest: Vec<String> = link.rsplit('/').map(str::to_owned).collect();
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop().ok_or(Astray::Outside)?;
                    continue;
                }
                _ => at.push(part),
            }
            let name = at.join("/");
            match self.0.get(&name) {
                Some(Entry::Link(target)) => {
                    hops += 1;
                    if hops > MOST_HOPS {
                        return Err(Astray::Circle);
                    }
                    if target.starts_with('/') {
                        return Err(Astray::Outside);
                    }
                    at.pop();
                    rest.extend(target.rsplit('/').map(str::to_owned));
                }
                Some(Entry::File { .. }) if !rest.is_empty() => return Err(Astray::Nowhere),
                Some(_) => {}
                None if self.has_below(&name) => {}
                None => return Err(Astray::Nowhere),
            }
        }
        Ok(at.join("/"))
    }

    /// Whether any entry is in the folder `name`.
    fn has_below(&self, name: &str) -> bool {
        let prefix = format!("{name}/");
        let mut after = self.0.range(prefix.clone()..);
        after
            .next()
            .is_some_and(|(next, _)| next.starts_with(&prefix))
    }

    /// Writes the tree below the folder `target`, which is made; `put` writes a file's content.
    ///
    /// # Errors
    /// When a folder or link can't be made, and what `put` returns.
    pub fn place(
        &self,
        target: &Path,
        mut put: impl FnMut(&C, &Path, bool) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let make = |folder: &Path| {
            fs_err::create_dir_all(folder).map_err(|e| EngineError::io("create", folder, e))
        };
        make(target)?;
        let mut last = target.to_owned();
        for (name, entry) in &self.0 {
            let path = target.join(name);
            let parent = path.parent().unwrap_or(target);
            if last != parent {
                make(parent)?;
                parent.clone_into(&mut last);
            }
            match entry {
                Entry::File {
                    content,
                    executable,
                } => put(content, &path, *executable)?,
                Entry::Link(to) => std::os::unix::fs::symlink(to, &path)
                    .map_err(|e| EngineError::io("link", &path, e))?,
                Entry::Folder => make(&path)?,
            }
        }
        Ok(())
    }
}
