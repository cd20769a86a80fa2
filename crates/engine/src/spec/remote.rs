//! Sources that lie elsewhere: `url:` and `hub:`.

use serde::{Deserialize, Serialize};

use super::de::from_tree;
use super::error::SpecError;
use super::tree::{Node, Value};
use crate::digest::Pin;
use crate::policy::parse_bytes;

/// How a downloaded file becomes the files of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unpack {
    /// It is the source's only file.
    #[default]
    #[serde(rename = "none")]
    None,
    /// A ZIP archive.
    #[serde(rename = "zip")]
    Zip,
    /// A tar archive.
    #[serde(rename = "tar")]
    Tar,
    /// A tar archive in gzip.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// A tar archive in xz.
    #[serde(rename = "tar.xz")]
    TarXz,
    /// A tar archive in Zstandard.
    #[serde(rename = "tar.zst")]
    TarZst,
    /// One file in gzip.
    #[serde(rename = "gz")]
    Gz,
    /// One file in xz.
    #[serde(rename = "xz")]
    Xz,
    /// One file in Zstandard.
    #[serde(rename = "zst")]
    Zst,
}

/// Takes the beginning of a tar archive and leaves the rest where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Take {
    /// FLAC files in the order of the archive, until they hold this many bytes of 16-bit mono PCM
    /// at 16 kHz.
    Speech(u64),
}

/// A file at one of several equal places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlSource {
    /// Where it can be had, in the order in which they are tried.
    pub urls: Vec<String>,
    /// What is done with it.
    pub unpack: Unpack,
    /// How much of it is wanted; all of it if not given.
    pub take: Option<Take>,
    /// The most bytes that may be downloaded.
    pub limit: Option<u64>,
    /// The digest that the file must have as it is served.
    pub digest: Option<Pin>,
}

/// What kind of repository it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepoKind {
    /// Weights and their configuration.
    #[default]
    Model,
    /// A data set.
    Dataset,
}

/// Files of a repository on the Hugging Face Hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    /// `owner/name`.
    pub repo: String,
    /// Model or data set.
    #[serde(default)]
    pub kind: RepoKind,
    /// Branch, tag or commit.
    pub revision: String,
    /// Names, in which `*` stands for anything but `/`; of a model without any: its configuration
    /// and its weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl UrlSource {
    /// Name of the downloaded file: the last part of the first URL's path.
    pub fn file_name(&self) -> &str {
        let url = self.urls.first().map_or("", |url| without_query(url));
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let name = path.split_once('/').map_or("", |(_, path)| path);
        match name.trim_end_matches('/').rsplit('/').next() {
            Some(name) if !matches!(name, "" | "." | "..") => name,
            _ => "download",
        }
    }
}

/// A URL without what follows `?` or `#`: what may be shown and written down.
pub fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

pub(super) const URL_KEYS: [&str; 6] = ["url", "unpack", "take", "size", "sha256", "blake3"];
pub(super) const HUB_KEYS: [&str; 4] = ["hub", "type", "revision", "files"];

/// Reads a source with a `url`, variables substituted.
pub(super) fn read_url(node: &Node, digest: Option<Pin>) -> Result<UrlSource, SpecError> {
    let urls = node.get("url").map(read_urls).transpose()?;
    let unpack = match node.get("unpack") {
        Some(node) => from_tree(node)?,
        None => Unpack::None,
    };
    let source = UrlSource {
        urls: urls.unwrap_or_default(),
        unpack,
        take: node.get("take").map(read_take).transpose()?,
        limit: node.get("size").map(read_size).transpose()?,
        digest,
    };
    match node.get("take") {
        Some(take) => check_take(&source, take).map(|()| source),
        None => Ok(source),
    }
}

fn check_take(source: &UrlSource, node: &Node) -> Result<(), SpecError> {
    use Unpack::{Tar, TarGz, TarXz, TarZst};
    let refuse = |message: &str| Err(SpecError::at(node.span.clone(), message));
    if !matches!(source.unpack, Tar | TarGz | TarXz | TarZst) {
        return refuse("only the beginning of a tar archive can be taken");
    }
    if source.digest.is_some() {
        return refuse("the digest of a file can't be checked when only its beginning is read");
    }
    Ok(())
}

fn read_urls(node: &Node) -> Result<Vec<String>, SpecError> {
    let nodes = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        return Err(SpecError::at(node.span.clone(), "there is no URL here"));
    }
    nodes.iter().map(read_one_url).collect()
}

fn read_one_url(node: &Node) -> Result<String, SpecError> {
    let refuse = |message: String| SpecError::at(node.span.clone(), message);
    let Value::Text(url) = &node.value else {
        return Err(refuse(format!("expected a URL, found {}", node.describe())));
    };
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .filter(|rest| !rest.is_empty() && !rest.starts_with('/'))
        .filter(|rest| !rest.contains(char::is_whitespace));
    let Some(rest) = rest else {
        return Err(refuse(
            "expected a URL that begins with https:// or http://".into(),
        ));
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        let error = refuse("a URL here can't hold a user name or a password".into());
        return Err(error.help("this file and cpipe.lock are meant to be shared"));
    }
    Ok(url.clone())
}

fn read_size(node: &Node) -> Result<u64, SpecError> {
    let parsed = match &node.value {
        Value::Text(text) => parse_bytes(text),
        _ => node.whole().and_then(|n| u64::try_from(n).ok()),
    };
    parsed.filter(|n| *n > 0).ok_or_else(|| {
        let message = format!(
            "expected a size, such as `512MB` or `4GiB`, found {}",
            node.describe()
        );
        SpecError::at(node.span.clone(), message)
    })
}

fn read_take(node: &Node) -> Result<Take, SpecError> {
    match node.entries() {
        [(key, size)] if key.text == "speech" => Ok(Take::Speech(read_size(size)?)),
        [(key, _)] => {
            let error = SpecError::at(key.span.clone(), format!("unknown key `{}`", key.text));
            Err(error.choices(&key.text, ["speech"].into_iter()))
        }
        _ => {
            let message = format!("expected what to take, found {}", node.describe());
            Err(SpecError::at(node.span.clone(), message)
                .help("for example `take: { speech: 4MiB }`"))
        }
    }
}

/// Reads a source with a `hub`, variables substituted.
pub(super) fn read_hub(node: &Node) -> Result<HubSource, SpecError> {
    let text = |key: &str| match node.get(key) {
        Some(node) => match node.text() {
            Some(text) if !text.is_empty() => Ok(Some(text.to_owned())),
            _ => {
                let message = format!("expected a text, found {}", node.describe());
                Err(SpecError::at(node.span.clone(), message))
            }
        },
        None => Ok(None),
    };
    let repo = text("hub")?.unwrap_or_default();
    if !is_repo(&repo) {
        let span = node.get("hub").map_or(&node.span, |n| &n.span).clone();
        let message = format!("`{repo}` is not the name of a repository");
        return Err(SpecError::at(span, message).help("for example `EleutherAI/pythia-70m`"));
    }
    let source = HubSource {
        repo,
        kind: node
            .get("type")
            .map(from_tree)
            .transpose()?
            .unwrap_or_default(),
        revision: text("revision")?.unwrap_or_else(|| "main".to_owned()),
        files: node
            .get("files")
            .map(read_files)
            .transpose()?
            .unwrap_or_default(),
    };
    if source.files.is_empty() && source.kind == RepoKind::Dataset {
        let error = SpecError::at(node.span.clone(), "the files of a data set must be named");
        return Err(error.help("for example `files: [data/test-*.parquet]`"));
    }
    Ok(source)
}

fn read_files(node: &Node) -> Result<Vec<String>, SpecError> {
    let names: Vec<String> = from_tree(node)?;
    let inside = |name: &&String| name.split('/').any(|part| matches!(part, "" | "." | ".."));
    if let Some(name) = names.iter().find(inside) {
        let message = format!("`{name}` is not the name of a file inside a repository");
        return Err(SpecError::at(node.span.clone(), message));
    }
    Ok(names)
}

/// `owner/name` or `name`, of letters, digits, `-`, `_` and `.`.
fn is_repo(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let good = |part: &&str| super::file::is_name(part) && !part.starts_with('.');
    matches!(parts.len(), 1 | 2) && parts.iter().all(good)
}
