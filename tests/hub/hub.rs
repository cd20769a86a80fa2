//! A hub on the loopback: the API, resolve URLs, redirects to a store of large files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cpipe_engine::digest::sha256;
use serde_json::{Value, json};

use crate::server::{Reply, Request, Server};

/// Files by name; those above this size are "large", as in a repository with LFS.
const LARGE: usize = 10_000;
/// Stands in every URL of the store: what must never be written down.
pub(crate) const SIGNATURE: &str = "X-Signature-SECRET";

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct State {
    /// (`models` or `datasets`, name, revision) → commit.
    revisions: BTreeMap<(String, String, String), String>,
    /// (name, commit) → files.
    commits: BTreeMap<(String, String), Files>,
    /// Digest that the API tells → bytes that the store serves.
    store: BTreeMap<String, Vec<u8>>,
    /// Files outside repositories.
    plain: Files,
    token: Option<String>,
    /// Requests that are still answered with 503.
    busy: usize,
    /// What is said of the size of files, as `OWNER/NAME/FILE`.
    claimed: BTreeMap<String, usize>,
}

/// A running hub.
pub(crate) struct Hub {
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| shared.lock().unwrap().answer(request));
        Self { server, state }
    }

    /// Moves a revision to a commit with these files.
    pub(crate) fn push(&self, kind: &str, name: &str, revision: &str, files: Files) -> String {
        let listing: Vec<String> = files
            .iter()
            .map(|(n, b)| format!("{n} {}", sha256(b)))
            .collect();
        let commit = sha256(format!("{name} {listing:?}").as_bytes())[..40].to_owned();
        let mut state = self.state.lock().unwrap();
        for bytes in files.values() {
            state.store.insert(sha256(bytes), bytes.clone());
        }
        let place = (kind.to_owned(), name.to_owned(), revision.to_owned());
        state.revisions.insert(place, commit.clone());
        state
            .commits
            .insert((name.to_owned(), commit.clone()), files);
        commit
    }

    /// A file at `/NAME`.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.state
            .lock()
            .unwrap()
            .plain
            .insert(name.to_owned(), bytes);
    }

    /// From now on only who has the token gets in.
    pub(crate) fn close_with(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// Says of a large file, as `OWNER/NAME/FILE`, that it is this large.
    pub(crate) fn claim(&self, name: &str, size: usize) {
        let mut state = self.state.lock().unwrap();
        state.claimed.insert(name.to_owned(), size);
    }

    /// Answers so many requests with 503.
    pub(crate) fn be_busy(&self, requests: usize) {
        self.state.lock().unwrap().busy = requests;
    }

    /// Damages what the store serves for some bytes.
    pub(crate) fn damage(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let stored = state.store.get_mut(&sha256(bytes)).unwrap();
        stored[bytes.len() / 2] ^= 1;
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        if self.busy > 0 {
            self.busy -= 1;
            return Reply::status(503).header("retry-after", "0");
        }
        let path = request
            .path
            .split('?')
            .next()
            .unwrap()
            .trim_start_matches('/');
        if let Some(bytes) = self.plain.get(path) {
            return Reply::file(request, bytes, &sha256(bytes));
        }
        if let Some(digest) = path.strip_prefix("store/") {
            assert!(request.path.contains(SIGNATURE));
            return Reply::file(request, &self.store[digest], digest);
        }
        match (&self.token, request.headers.get("authorization")) {
            (Some(_), None) => return Reply::status(401),
            (Some(token), Some(given)) if *given != format!("Bearer {token}") => {
                return Reply::status(403);
            }
            _ => {}
        }
        let found = match path.strip_prefix("api/") {
            Some(rest) => self.describe(rest),
            None => self.resolve(request, path.strip_prefix("datasets/").unwrap_or(path)),
        };
        found.unwrap_or_else(|| Reply::status(404))
    }

    /// `models/OWNER/NAME/revision/REVISION`.
    fn describe(&self, path: &str) -> Option<Reply> {
        let (repo, revision) = path.split_once("/revision/")?;
        let (kind, name) = repo.split_once('/')?;
        let place = (kind.to_owned(), name.to_owned(), revision.to_owned());
        let commit = self.revisions.get(&place)?;
        let files = &self.commits[&(name.to_owned(), commit.clone())];
        let siblings: Vec<Value> = files
            .iter()
            .map(|(file, bytes)| self.sibling(name, file, bytes))
            .collect();
        let info = json!({"id": name, "sha": commit, "gated": false, "siblings": siblings});
        Some(Reply::ok(info.to_string()))
    }

    /// `OWNER/NAME/resolve/COMMIT/FILE`: large files are redirected to the store.
    fn resolve(&self, request: &Request, path: &str) -> Option<Reply> {
        let (name, rest) = path.split_once("/resolve/")?;
        let (commit, file) = rest.split_once('/')?;
        let files = self.commits.get(&(name.to_owned(), commit.to_owned()))?;
        let bytes = files.get(file)?;
        let digest = sha256(bytes);
        if bytes.len() < LARGE {
            return Some(Reply::file(request, bytes, &digest).header("x-repo-commit", commit));
        }
        let place = format!("/store/{digest}?{SIGNATURE}");
        let reply = Reply::status(302).header("location", &place);
        let reply = reply.header("x-linked-etag", &format!("\"{digest}\""));
        Some(reply.header("x-linked-size", &bytes.len().to_string()))
    }

    fn sibling(&self, repo: &str, name: &str, bytes: &[u8]) -> Value {
        let size = bytes.len();
        if size < LARGE {
            return json!({"rfilename": name, "size": size, "blobId": "0".repeat(40)});
        }
        let claimed = self.claimed.get(&format!("{repo}/{name}"));
        let size = claimed.copied().unwrap_or(size);
        let lfs = json!({"sha256": sha256(bytes), "size": size, "pointerSize": 134});
        json!({"rfilename": name, "size": size, "blobId": "0".repeat(40), "lfs": lfs})
    }
}
