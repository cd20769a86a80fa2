//! Reading what is in a folder, without opening any of it.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::{Astray, Entry, Fault, Tree};
use crate::digest::{Algorithm, Pin};
use crate::error::EngineError;

/// Most folders outside a source that links in it may lead to: links to folders with links to the
/// same folders double with each level.
const MOST_BY_LINKS: usize = 10_000;

/// What becomes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// It is kept if it leads to a place inside the folder, else refused. Folders are made readable
    /// first: the folder is a node's own.
    OfOutput,
    /// The same, and nothing is changed.
    OfCopy,
    /// It is kept if it leads to a place inside the folder. What it leads to outside counts as if it
    /// were there.
    OfSource,
}

/// Whether the owner of a file may execute it.
pub fn is_executable(meta: &Metadata) -> bool {
    meta.mode() & 0o100 != 0
}

/// Everything below a folder, with the path of each file.
///
/// # Errors
/// [`EngineError::Entry`] for what can't be stored; when a folder can't be read.
pub fn walk(folder: &Path, links: Links) -> Result<Tree<PathBuf>, EngineError> {
    let root = fs::canonicalize(folder).map_err(|e| EngineError::io("read", folder, e))?;
    let mut walk = Walk {
        root,
        links,
        tree: Tree::default(),
        by_links: 0,
        left: vec![Left {
            prefix: String::new(),
            path: folder.to_owned(),
            outside: Vec::new(),
        }],
    };
    while let Some(left) = walk.left.pop() {
        walk.folder(&left)?;
    }
    walk.check_links(folder)?;
    Ok(walk.tree)
}

/// A folder still to be read.
struct Left {
    /// Its name in the tree, with a `/` behind it.
    prefix: String,
    path: PathBuf,
    /// The folders outside the root that links led to on the way here.
    outside: Vec<PathBuf>,
}

struct Walk {
    /// The folder without links on the way to it.
    root: PathBuf,
    links: Links,
    tree: Tree<PathBuf>,
    left: Vec<Left>,
    /// Folders outside the root that links led to.
    by_links: usize,
}

impl Walk {
    fn folder(&mut self, left: &Left) -> Result<(), EngineError> {
        let failed = |e| EngineError::io("read", &left.path, e);
        if self.links == Links::OfOutput {
            open_up(&left.path).map_err(failed)?;
        }
        let mut is_empty = true;
        for entry in fs_err::read_dir(&left.path).map_err(failed)? {
            is_empty = false;
            let path = entry.map_err(failed)?.path();
            let name = text(path.file_name().unwrap_or_default(), &path)?;
            self.entry(left, format!("{}{name}", left.prefix), path)?;
        }
        if is_empty && !left.prefix.is_empty() {
            let name = left.prefix.trim_end_matches('/').to_owned();
            self.tree.0.insert(name, Entry::Folder);
        }
        Ok(())
    }

    fn entry(&mut self, left: &Left, name: String, path: PathBuf) -> Result<(), EngineError> {
        let failed = |e| EngineError::io("read", &path, e);
        let meta = fs::symlink_metadata(&path).map_err(failed)?;
        if !meta.is_symlink() {
            return self.insert(left.outside.clone(), name, path, &meta);
        }
        let target = fs::read_link(&path).map_err(failed)?;
        if self.links == Links::OfSource {
            return self.source_link(left, name, path, &target);
        }
        let to = text(target.as_os_str(), &path)?;
        let to = match target.strip_prefix(&self.root) {
            Ok(inside) => relative(inside, &name),
            Err(_) => to,
        };
        self.tree.0.insert(name, Entry::Link(to));
        Ok(())
    }

    /// Takes in a file, or puts a folder on the list.
    fn insert(
        &mut self,
        outside: Vec<PathBuf>,
        name: String,
        path: PathBuf,
        meta: &Metadata,
    ) -> Result<(), EngineError> {
        if meta.is_dir() {
            let prefix = format!("{name}/");
            self.left.push(Left {
                prefix,
                path,
                outside,
            });
        } else if meta.is_file() {
            let entry = Entry::File {
                content: path,
                executable: is_executable(meta),
            };
            self.tree.0.insert(name, entry);
        } else {
            return Err(EngineError::entry(&path, Fault::of(meta.file_type())));
        }
        Ok(())
    }

    /// A link in a source: kept if it leads inside, else what it leads to is read.
    fn source_link(
        &mut self,
        left: &Left,
        name: String,
        path: PathBuf,
        target: &Path,
    ) -> Result<(), EngineError> {
        let astray = |astray| {
            let to = super::shown(target);
            EngineError::entry(&path, Fault::Link { to, astray })
        };
        let real = fs::canonicalize(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => astray(Astray::Nowhere),
            _ if e.raw_os_error() == Some(libc::ELOOP) => astray(Astray::Circle),
            _ => EngineError::io("read", &path, e),
        })?;
        if let Ok(inside) = real.strip_prefix(&self.root) {
            text(inside.as_os_str(), &path)?;
            self.tree
                .0
                .insert(name.clone(), Entry::Link(relative(inside, &name)));
            return Ok(());
        }
        let meta = fs::metadata(&path).map_err(|e| EngineError::io("read", &path, e))?;
        let mut outside = left.outside.clone();
        if meta.is_dir() {
            let above = |folder: &PathBuf| folder.starts_with(&real);
            if above(&self.root) || outside.iter().any(above) {
                return Err(astray(Astray::Circle));
            }
            outside.push(real);
            self.by_links += 1;
            if self.by_links > MOST_BY_LINKS {
                return Err(astray(Astray::Maze));
            }
        }
        self.insert(outside, name, path, &meta)
    }

    /// Every link that was kept has to lead to a place in the tree. One that leaves it on the way and
    /// comes back is made direct.
    fn check_links(&mut self, folder: &Path) -> Result<(), EngineError> {
        let mut direct = Vec::new();
        for (name, entry) in &self.tree.0 {
            let Entry::Link(to) = entry else { continue };
            let Err(astray) = self.tree.follow(name) else {
                continue;
            };
            let real = fs::canonicalize(folder.join(name)).ok();
            let inside = real.and_then(|real| Some(real.strip_prefix(&self.root).ok()?.to_owned()));
            match inside.filter(|inside| astray == Astray::Outside && inside.to_str().is_some()) {
                Some(inside) => direct.push((name.clone(), relative(&inside, name))),
                None => {
                    let to = super::shown(Path::new(to));
                    let fault = Fault::Link { to, astray };
                    return Err(EngineError::entry(&folder.join(name), fault));
                }
            }
        }
        let direct = direct.into_iter();
        self.tree
            .0
            .extend(direct.map(|(name, to)| (name, Entry::Link(to))));
        Ok(())
    }
}

/// Gives the owner of a folder all rights in it.
pub(crate) fn open_up(folder: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(folder)?.mode();
    if mode & 0o700 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(mode & 0o777 | 0o700))
}

fn text(name: &OsStr, path: &Path) -> Result<String, EngineError> {
    let name = name.to_str().map(str::to_owned);
    name.ok_or_else(|| EngineError::entry(path, Fault::Name))
}

/// The way from the folder of the link `name` to `inside`, both relative to one folder.
fn relative(inside: &Path, name: &str) -> String {
    let parts = |path: &Path| -> Vec<String> {
        path.components()
            .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    let (from, to) = (parts(Path::new(name)), parts(inside));
    let from = &from[..from.len().saturating_sub(1)];
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    let way: Vec<String> = up.chain(to[common..].iter().cloned()).collect();
    if way.is_empty() {
        ".".to_owned()
    } else {
        way.join("/")
    }
}

/// The digest of a file, or of a folder's listing; `hash` gives the digest of one file.
///
/// # Errors
/// As [`walk`]; when a file can't be read.
pub fn pin(
    path: &Path,
    links: Links,
    algorithm: Algorithm,
    hash: impl Fn(&Path) -> io::Result<String>,
) -> Result<Pin, EngineError> {
    let hash = |path: &Path| hash(path).map_err(|e| EngineError::io("read", path, e));
    let meta = match links {
        Links::OfSource => fs::metadata(path),
        Links::OfOutput | Links::OfCopy => fs::symlink_metadata(path),
    };
    let meta = meta.map_err(|e| EngineError::io("read", path, e))?;
    let hex = if meta.is_dir() {
        let tree = walk(path, links)?.try_map(|_, path| hash(path))?;
        algorithm.hash(tree.to_text(algorithm).as_bytes())
    } else if meta.is_file() {
        hash(path)?
    } else {
        return Err(EngineError::entry(path, Fault::of(meta.file_type())));
    };
    Ok(Pin { algorithm, hex })
}
