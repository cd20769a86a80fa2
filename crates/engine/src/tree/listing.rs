//! The listing of a folder: the text whose digest is the folder's.
//!
//! A file with a plain name that nobody may execute is a line `HEX  NAME`, as `b3sum` and
//! `sha256sum` print it. Anything else is a line of JSON: executable files, links, empty folders, and
//! names with a line break or a backslash. A line starts with a hexadecimal digit or with `{`, so
//! that no two folders have one listing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::{Entry, Tree};
use crate::digest::{Algorithm, Digest};

/// A line in JSON.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    folder: bool,
}

impl<C: Display> Tree<C> {
    /// The listing, sorted by the bytes of the names; the contents are digests of this algorithm.
    pub fn to_text(&self, algorithm: Algorithm) -> String {
        let mut text = String::new();
        for (name, entry) in &self.0 {
            match entry {
                Entry::File {
                    content,
                    executable: false,
                } if is_plain(name) => text.extend([&content.to_string(), "  ", name]),
                other => text += &json(name, other, algorithm),
            }
            text.push('\n');
        }
        text
    }
}

fn is_plain(name: &str) -> bool {
    !name.contains(['\n', '\r', '\\'])
}

fn json<C: Display>(name: &str, entry: &Entry<C>, algorithm: Algorithm) -> String {
    let mut line = Line {
        path: name.to_owned(),
        ..Line::default()
    };
    match entry {
        Entry::File {
            content,
            executable,
        } => {
            line.executable = *executable;
            let hex = Some(content.to_string());
            match algorithm {
                Algorithm::Blake3 => line.blake3 = hex,
                Algorithm::Sha256 => line.sha256 = hex,
            }
        }
        Entry::Link(to) => line.link = Some(to.clone()),
        Entry::Folder => line.folder = true,
    }
    serde_json::to_string(&line).expect("a line is plain data")
}

impl Tree<Digest> {
    /// Reads what [`Tree::to_text`] wrote with BLAKE3.
    ///
    /// # Errors
    /// Where a line is not one of a listing, a name leads outside the folder, or a link does not
    /// lead to a place inside it: a listing may come from somebody else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        for line in text.split_terminator('\n') {
            let (name, entry) = parse_line(line)?;
            if !is_inside(&name) {
                return Err(format!("the name `{}` leads outside", name.escape_debug()));
            }
            if entries.insert(name.clone(), entry).is_some() {
                return Err(format!("the name `{}` is there twice", name.escape_debug()));
            }
        }
        let tree = Self(entries);
        tree.check()?;
        Ok(tree)
    }

    /// Every link leads to a place inside, and nothing is below a file or a link.
    fn check(&self) -> Result<(), String> {
        for (name, entry) in &self.0 {
            let shown = name.escape_debug();
            if matches!(entry, Entry::Link(_)) && self.follow(name).is_err() {
                return Err(format!("the link `{shown}` leads to no place inside"));
            }
            if self.has_below(name) {
                return Err(format!("`{shown}` is not a folder and has entries"));
            }
        }
        Ok(())
    }
}

fn parse_line(line: &str) -> Result<(String, Entry<Digest>), String> {
    if !line.starts_with('{') {
        let (hex, name) = line.split_once("  ").ok_or("a line without a path")?;
        let entry = Entry::File {
            content: hex.parse()?,
            executable: false,
        };
        return Ok((name.to_owned(), entry));
    }
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let entry = match (line.blake3, line.link, line.folder) {
        (Some(hex), None, false) => Entry::File {
            content: hex.parse()?,
            executable: line.executable,
        },
        (None, Some(to), false) => Entry::Link(to),
        (None, None, true) => Entry::Folder,
        _ => return Err("a line that is not one of file, link and folder".to_owned()),
    };
    Ok((line.path, entry))
}

/// Whether a name stays below the folder that it is relative to.
fn is_inside(name: &str) -> bool {
    let parts = name.split('/').count();
    let normal = |c: Component<'_>| matches!(c, Component::Normal(_));
    !name.contains('\0')
        && Path::new(name).components().count() == parts
        && Path::new(name).components().all(normal)
}
