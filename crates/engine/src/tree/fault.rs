use std::fmt::Write;
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::Astray;

/// Why an entry of a folder cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Names are kept as text.
    #[error("has a name that is not UTF-8")]
    Name,
    /// Neither file, folder nor link; such a thing is never opened.
    #[error("is {0}, and only files, folders and links are stored")]
    Special(&'static str),
    /// Something else where cpipe reads a file of the user's.
    #[error("is {0}, and a file is expected there")]
    NotFile(&'static str),
    /// A link that leads to no place inside.
    #[error("is a link to `{to}`, which {}", words(*.astray))]
    Link {
        /// What the link says.
        to: String,
        /// Where it leads.
        astray: Astray,
    },
    /// An output that is not itself there, but by way of a link.
    #[error("is a link, and an output has to be there itself")]
    Linked,
}

fn words(astray: Astray) -> &'static str {
    match astray {
        Astray::Outside => "is outside the folder",
        Astray::Nowhere => "does not exist",
        Astray::Circle => "leads in a circle",
        Astray::Maze => "is one of too many folders that links lead to",
    }
}

impl Fault {
    /// What is wrong with a thing of this kind in the place of a file.
    pub(crate) fn of(kind: FileType) -> Self {
        if kind.is_symlink() {
            return Self::Linked;
        }
        Self::Special(name_of(kind))
    }

    /// The same for a file that is only read.
    pub(crate) fn in_place_of_file(kind: FileType) -> Self {
        Self::NotFile(name_of(kind))
    }

    /// What a user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Name => "rename it",
            Self::Special(_) => "remove it, or make it elsewhere",
            Self::NotFile(_) => "put a file in its place, or name another path",
            Self::Link { .. } | Self::Linked => {
                "remove the link, or put what it should lead to in its place"
            }
        }
    }
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_dir() {
        "a folder"
    } else {
        "a device"
    }
}

/// A path as it is shown: control characters and bytes that are not UTF-8 are escaped.
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
