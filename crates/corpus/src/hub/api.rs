use std::collections::BTreeMap;
use std::fmt::Write;

use cpipe_engine::spec::RepoKind;
use serde::Deserialize;

use super::Hub;
use crate::error::CorpusError;
use crate::http::HttpError;

/// What the hub says of a revision, as far as it matters here; the rest is left alone.
#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// A file of a repository, as far as the hub says; digests are there of large files only.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<String>,
}

impl Hub<'_> {
    /// The commit that the revision stands for, and its files.
    pub(super) fn ask(&self) -> Result<(String, BTreeMap<String, Listed>), CorpusError> {
        let (endpoint, repo) = (&self.settings.endpoint, &self.source.repo);
        let kind = match self.source.kind {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
        };
        let revision = encode(&self.source.revision, false);
        let url = format!("{endpoint}/api/{kind}/{repo}/revision/{revision}?blobs=true");
        let text = self.client.get_text(&url, self.settings.token.as_ref());
        let text = text.map_err(|error| self.explain(error))?;
        let info: Info = serde_json::from_str(&text).map_err(|e| HttpError::Answer {
            url: url.split('?').next().unwrap_or(&url).to_owned(),
            reason: e.to_string(),
        })?;
        let files = info.siblings.into_iter();
        Ok((info.sha, files.filter_map(listed).collect()))
    }

    pub(super) fn file_url(&self, commit: &str, name: &str) -> String {
        let (endpoint, repo) = (&self.settings.endpoint, &self.source.repo);
        let kind = match self.source.kind {
            RepoKind::Model => "",
            RepoKind::Dataset => "datasets/",
        };
        let name = encode(name, true);
        format!("{endpoint}/{kind}{repo}/resolve/{commit}/{name}")
    }

    /// What to do about a repository that can't be read.
    pub(super) fn explain(&self, error: HttpError) -> CorpusError {
        let HttpError::Status { status, .. } = error else {
            return error.into();
        };
        let (repo, revision) = (&self.source.repo, &self.source.revision);
        let kind = if self.source.kind == RepoKind::Dataset {
            "datasets/"
        } else {
            ""
        };
        let page = format!("{}/{kind}{repo}", self.settings.endpoint);
        let has_token = self.settings.token.is_some();
        let hint = match status {
            401 if has_token => format!(
                "the token is not accepted, or `{repo}` is misspelt: check HF_TOKEN, and {page}"
            ),
            401 => format!(
                "`{repo}` is gated, private or misspelt: if {page} asks for it, accept its \
                 conditions there, and set HF_TOKEN to a token of yours (or use `hf auth login`)"
            ),
            403 => format!(
                "`{repo}` is gated: accept its conditions at {page} with the account that HF_TOKEN \
                 belongs to, and wait until access is granted"
            ),
            404 => format!(
                "check the repository's name and that it has the revision `{revision}`: {page}"
            ),
            _ => return error.into(),
        };
        let message = format!("the hub refuses `{repo}` at `{revision}` ({status})");
        CorpusError::Hub { message, hint }
    }
}

/// A name that would leave the repository is not listed.
fn listed(sibling: Sibling) -> Option<(String, Listed)> {
    let name = sibling.rfilename;
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let size = sibling
        .lfs
        .as_ref()
        .and_then(|lfs| lfs.size)
        .or(sibling.size);
    let sha256 = sibling.lfs.and_then(|lfs| lfs.sha256);
    let sha256 = sha256.filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let sha256 = sha256.map(|hex| hex.to_lowercase());
    Some((name, Listed { size, sha256 }))
}

/// Percent-encodes what has a meaning in URLs.
fn encode(text: &str, keep_slash: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte as char);
            }
            b'/' if keep_slash => out.push('/'),
            _ => write!(out, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_names_are_encoded() {
        assert_eq!(encode("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(encode("data/a b+é.txt", true), "data/a%20b%2B%C3%A9.txt");
    }

    #[test]
    fn a_name_that_leaves_the_repository_is_not_listed() {
        let sibling = |name: &str| Sibling {
            rfilename: name.to_owned(),
            size: Some(1),
            lfs: None,
        };
        assert!(listed(sibling("a/b")).is_some());
        for name in ["../x", "/etc/passwd", "a//b", "a/./b"] {
            assert!(listed(sibling(name)).is_none(), "{name}");
        }
    }
}
