//! cpipe.lock: what each remote source was found to be, and what each local one was last seen to be.
//!
//! A YAML file beside the pipeline file with one small block per source, sorted, so that changes to
//! different sources merge. It is what makes the keys of everything downstream known while the files
//! themselves are gone. It holds no secrets: URLs without their queries, names, digests, dates.
//!
//! Remote sources are locked: a run takes exactly what the file says. Local sources without a declared
//! digest are only remembered: while they are there, what is there counts.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cache::write_atomically;
use crate::digest::Pin;
use crate::error::EngineError;
use crate::spec::{HubSource, SpecError, Take, Unpack, UrlSource, from_text, without_query};

/// Version of the layout.
const VERSION: u32 = 2;
/// What a file without local sources is: versions before 0.2 read it.
const WITHOUT_SEEN: u32 = 1;
const HEAD: &str = "# Written by `cpipe run` and `cpipe update`; commit it. See docs/sources.md.\n";

/// What lines of a merge conflict begin with; no line of a lock does.
const CONFLICT: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// What cpipe.lock says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    entries: BTreeMap<(String, Origin), Locked>,
    /// Local source → the text that it entered keys by.
    seen: BTreeMap<LocalSource, String>,
}

/// A local file or folder that follows its content. One whose path a variable changes has an entry
/// for each path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalSource {
    /// Name of the source; none for one of the `files` of a command.
    pub name: Option<String>,
    /// Its path as written, relative to the pipeline file.
    pub path: String,
}

/// What a local source was last seen to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeenEntry {
    #[serde(default)]
    source: Option<String>,
    path: String,
    digest: String,
}

/// What one source was found to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Name of the source.
    pub source: String,
    /// What was asked for.
    pub from: Origin,
    /// The commit that the revision stood for.
    #[serde(default)]
    pub commit: Option<String>,
    /// Digest of the listing of its files: what enters keys.
    #[serde(with = "as_text")]
    pub digest: Pin,
    /// Digest of the file as it was served.
    #[serde(default)]
    pub served: Option<String>,
    /// Bytes that have to be downloaded.
    pub size: u64,
    /// The day it was looked at, as YYYY-MM-DD.
    pub date: String,
    /// Files of a repository by name.
    #[serde(default)]
    pub files: BTreeMap<String, LockedFile>,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// Bytes.
    pub size: u64,
    /// Hexadecimal SHA-256.
    pub sha256: String,
}

/// What a source asks for. An entry that answers another question does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A file on a web server: the place it was had from.
    Url {
        /// Without its query.
        url: String,
        /// What was done with it.
        unpack: Unpack,
        /// How much of it was taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        take: Option<Take>,
    },
    /// Files of a repository.
    Hub(HubSource),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    sources: Vec<Locked>,
    #[serde(default)]
    seen: Vec<SeenEntry>,
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::digest::Pin;

    pub(super) fn serialize<S: Serializer>(pin: &Pin, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(pin)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pin, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl Lock {
    /// Reads a lock file's text.
    ///
    /// # Errors
    /// Where it is not what [`Lock::to_text`] writes, with the place.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        refuse_what_is_no_lock(text)?;
        let document: Document = from_text(text)?;
        if !(WITHOUT_SEEN..=VERSION).contains(&document.version) {
            let message = format!("version {} of cpipe.lock is not known", document.version);
            return Err(SpecError::general(message).help("a newer cpipe wrote it"));
        }
        let mut lock = Self::default();
        document.sources.into_iter().for_each(|e| lock.insert(e));
        for entry in document.seen {
            let source = LocalSource {
                name: entry.source,
                path: entry.path,
            };
            lock.see(source, Some(entry.digest));
        }
        Ok(lock)
    }

    /// The file's text: sorted, a block per source.
    pub fn to_text(&self) -> String {
        let version = if self.seen.is_empty() {
            WITHOUT_SEEN
        } else {
            VERSION
        };
        let mut text = format!("{HEAD}version: {version}\nsources:");
        if self.entries.is_empty() {
            text += " []";
        }
        text.push('\n');
        for entry in self.entries.values() {
            text += "\n";
            text += &block(entry);
        }
        if !self.seen.is_empty() {
            text += "\nseen:\n";
        }
        for (source, digest) in &self.seen {
            text += "\n";
            text += &seen_block(source, digest);
        }
        text
    }

    /// What a local source was last seen to be.
    pub fn seen(&self, source: &LocalSource) -> Option<&String> {
        self.seen.get(source)
    }

    /// Remembers what a local source is, or forgets it.
    pub fn see(&mut self, source: LocalSource, digest: Option<String>) {
        match digest {
            Some(digest) => self.seen.insert(source, digest),
            None => self.seen.remove(&source),
        };
    }

    /// Writes it so that a reader sees all of it or none.
    pub fn write(&self, path: &Path) -> Result<(), EngineError> {
        write_atomically(path, self.to_text().as_bytes())
    }

    /// Puts an entry in the place of what answered the same question.
    pub fn insert(&mut self, entry: Locked) {
        let name = entry.source.clone();
        self.entries.insert((name, entry.from.clone()), entry);
    }

    /// What is on record for a file at one of these places.
    pub fn of_url(&self, name: &str, source: &UrlSource) -> Option<&Locked> {
        let declared = source.digest.as_ref().map(ToString::to_string);
        let fits = |locked: &&Locked| declared.is_none() || declared == locked.served;
        let mut origins = source.urls.iter().map(|url| Origin::Url {
            url: without_query(url).to_owned(),
            unpack: source.unpack,
            take: source.take,
        });
        origins.find_map(|origin| self.entries.get(&(name.to_owned(), origin)).filter(fits))
    }

    /// What is on record for these files of a repository.
    pub fn of_hub(&self, name: &str, source: &HubSource) -> Option<&Locked> {
        self.entries
            .get(&(name.to_owned(), Origin::Hub(source.clone())))
    }
}

/// An empty file, and what version control leaves where two branches changed the same lines.
fn refuse_what_is_no_lock(text: &str) -> Result<(), SpecError> {
    let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_empty) {
        return Err(SpecError::general("this lock file is empty")
            .help("restore it from version control, or remove it: `cpipe run` writes a new one"));
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if CONFLICT.iter().any(|marker| line.starts_with(marker)) {
            let span = at..at + line.trim_end().len();
            return Err(SpecError::at(span, "this lock file holds a merge conflict")
                .help("resolve it, or take one side and run `cpipe update`"));
        }
        at += line.len();
    }
    Ok(())
}

/// The day in UTC, as YYYY-MM-DD.
pub fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// One line per value, as JSON, which is YAML too; a line per file.
fn block(entry: &Locked) -> String {
    let mut lines = vec![
        format!("- source: {}", json(&entry.source)),
        format!("  from: {}", json(&entry.from)),
    ];
    let optional = [("commit", &entry.commit), ("served", &entry.served)];
    for (name, value) in optional {
        lines.extend(value.as_ref().map(|v| format!("  {name}: {}", json(v))));
    }
    lines.push(format!("  digest: {}", json(&entry.digest.to_string())));
    lines.push(format!("  size: {}", entry.size));
    lines.push(format!("  date: {}", json(&entry.date)));
    if !entry.files.is_empty() {
        lines.push("  files:".to_owned());
        let files = entry.files.iter();
        lines.extend(files.map(|(name, file)| format!("    {}: {}", json(name), json(file))));
    }
    lines.join("\n") + "\n"
}

fn seen_block(source: &LocalSource, digest: &str) -> String {
    let (path, digest) = (json(&source.path), json(&digest));
    match &source.name {
        Some(name) => format!(
            "- source: {}\n  path: {path}\n  digest: {digest}\n",
            json(name)
        ),
        None => format!("- path: {path}\n  digest: {digest}\n"),
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a lock is plain data")
}

#[cfg(test)]
mod tests;
