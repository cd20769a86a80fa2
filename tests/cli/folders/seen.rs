//! What is in a folder, read without any code of cpipe, and whether cpipe must store it.

#![allow(
    clippy::unnecessary_debug_formatting,
    reason = "names hold line breaks and bytes that are not UTF-8"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::random::tag_of;

/// An entry as it must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        executable: bool,
        content: Vec<u8>,
    },
    /// To a place in the same folder, by its name there.
    Link(PathBuf),
    Folder,
}

/// Relative name → entry.
pub(super) type Listing = BTreeMap<PathBuf, Kind>;

/// What must become of a node.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Its outputs come back like this.
    Kept(Listing),
    /// It fails, and the message has one of these words: parts of the names of what is refused.
    Refused(BTreeSet<String>),
    /// It may fail, too, as what only another user may read.
    Either(Listing, BTreeSet<String>),
}

/// Judges the folder `out` and the file `one` in a folder, whose modes are changed on the way.
pub(super) fn judge(folder: &Path) -> Verdict {
    let (out, one) = (folder.join("out"), folder.join("one"));
    let mut refused = BTreeSet::new();
    let mut closed = BTreeSet::new();
    let mut listing = Listing::new();
    let mut found = Vec::new();
    if fs::symlink_metadata(&out).unwrap().is_symlink() {
        refused.insert("out".to_owned());
    } else {
        open_up(&out, &mut found);
    }
    let meta = fs::symlink_metadata(&one).unwrap();
    open_file(&one, &meta);
    found.push((one.clone(), meta));
    for (path, meta) in found {
        let name = path.strip_prefix(folder).unwrap().to_owned();
        let word = tag_of(path.file_name().unwrap().as_bytes());
        if path == one && !meta.is_file() {
            refused.insert("one".to_owned());
            continue;
        }
        if path.file_name().unwrap().to_str().is_none() {
            refused.insert(word.clone());
        }
        if meta.is_file() && meta.nlink() > 1 && fs::File::open(&path).is_err() {
            closed.insert(word.clone());
        }
        match kind_of(&out, &path, &meta) {
            Some(kind) => {
                listing.insert(name, kind);
            }
            None => {
                refused.insert(word);
            }
        }
    }
    match (refused.is_empty(), closed.is_empty()) {
        (true, true) => Verdict::Kept(listing),
        (true, false) => Verdict::Either(listing, closed),
        (false, _) => {
            refused.extend(closed);
            Verdict::Refused(refused)
        }
    }
}

/// Everything below a folder as it is now, after which all of it can be read.
fn open_up(folder: &Path, found: &mut Vec<(PathBuf, Metadata)>) {
    let mode = fs::symlink_metadata(folder).unwrap().mode();
    fs::set_permissions(folder, Permissions::from_mode(mode | 0o700)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        found.push((path.clone(), meta.clone()));
        if meta.is_dir() {
            open_up(&path, found);
        } else {
            open_file(&path, &meta);
        }
    }
}

/// Makes a file readable that has this name only.
fn open_file(path: &Path, meta: &Metadata) {
    if meta.is_file() && meta.nlink() == 1 {
        let mode = Permissions::from_mode(meta.mode() | 0o600);
        fs::set_permissions(path, mode).unwrap();
    }
}

/// None for what can't be stored in the folder `root`.
fn kind_of(root: &Path, path: &Path, meta: &Metadata) -> Option<Kind> {
    let kind = meta.file_type();
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        return None;
    }
    if meta.is_dir() {
        return Some(Kind::Folder);
    }
    if meta.is_symlink() {
        let target = fs::read_link(path).unwrap();
        target.to_str()?;
        let real = fs::canonicalize(path).ok()?;
        let inside = real.strip_prefix(fs::canonicalize(root).unwrap()).ok()?;
        return Some(Kind::Link(inside.to_owned()));
    }
    Some(Kind::File {
        executable: meta.mode() & 0o100 != 0,
        content: fs::read(path).unwrap_or_default(),
    })
}

/// The folder `out` and the file `one` in a folder that cpipe has written.
pub(super) fn listing(folder: &Path) -> Listing {
    let mut found = Vec::new();
    let out = folder.join("out");
    let mut left = vec![out.clone()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display())) {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                left.push(path.clone());
            }
            found.push((path, meta));
        }
    }
    let one = folder.join("one");
    found.push((one.clone(), fs::symlink_metadata(one).unwrap()));
    let named = found.into_iter().map(|(path, meta)| {
        let name = path.strip_prefix(folder).unwrap().to_owned();
        let kind = kind_of(&out, &path, &meta);
        (
            name,
            kind.unwrap_or_else(|| panic!("{path:?} came back as {meta:?}")),
        )
    });
    named.collect()
}

/// What `find -printf '%y\0%m\0%l\0%P\0'` printed, then `sha256sum -z`, below a folder `out` and for a
/// file `one`: compared with the folder that `listing` has read, whose links are spelled alike.
pub(super) fn assert_seen(report: &[u8], exported: &Path, expected: &Listing, context: &str) {
    let mut fields = report.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let mut text = || fields.next().unwrap_or_default();
    let mut seen = BTreeSet::new();
    loop {
        let kind = text();
        if kind.is_empty() {
            break;
        }
        let (mode, link, name) = (text(), text(), PathBuf::from(OsString::from_vec(text())));
        let owner = mode[mode.len().saturating_sub(3)..].first().copied();
        let is_executable = owner.is_some_and(|digit| (digit - b'0') & 1 == 1);
        match (&expected.get(&name), kind.as_slice()) {
            (Some(Kind::File { executable, .. }), b"f") => {
                assert_eq!(is_executable, *executable, "{name:?} in {context}");
            }
            (Some(Kind::Link(_)), b"l") => {
                let there = fs::read_link(exported.join(&name)).unwrap();
                assert_eq!(there.as_os_str().as_bytes(), link, "{name:?} in {context}");
            }
            (Some(Kind::Folder), b"d") => {}
            (other, kind) => {
                let kind = String::from_utf8_lossy(kind).into_owned();
                panic!("{name:?} is seen as {kind}, not as {other:?}, in {context}");
            }
        }
        assert!(seen.insert(name), "{context}");
    }
    assert!(
        seen.iter().eq(expected.keys()),
        "{seen:?} are seen in {context}"
    );
    let sums: BTreeMap<PathBuf, String> = fields
        .filter(|line| !line.is_empty())
        .map(|line| {
            let hex = String::from_utf8(line[..64].to_vec()).unwrap();
            (PathBuf::from(OsString::from_vec(line[66..].to_vec())), hex)
        })
        .collect();
    for (name, kind) in expected {
        if let Kind::File { content, .. } = kind {
            assert_eq!(sums[name], sha256(content), "{name:?} in {context}");
        }
    }
}

fn sha256(content: &[u8]) -> String {
    cpipe_engine::digest::sha256(content)
}

/// What a program might change of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    mode: u32,
    links: u64,
    inode: u64,
    changed: (i64, i64),
    content: Vec<u8>,
}

/// Every entry of a folder, itself included.
pub(super) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut all = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() {
            fs::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        };
        let facts = Facts {
            mode: meta.mode(),
            links: meta.nlink(),
            inode: meta.ino(),
            changed: (meta.mtime(), meta.mtime_nsec()),
            content,
        };
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        all.insert(path, facts);
    }
    all
}

/// The inodes of the files below a folder.
pub(super) fn inodes(folder: &Path) -> BTreeSet<u64> {
    snapshot(folder)
        .into_values()
        .map(|facts| facts.inode)
        .collect()
}
