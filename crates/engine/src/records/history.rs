//! What earlier runs knew of nodes: their tables of action keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{RunInfo, RunRecord, read_run, run_names, runs_in, table_path};
use crate::action::ActionKey;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::EngineError;
use crate::places::Places;

/// What earlier runs of a pipeline knew; read when someone asks.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    of: RunInfo,
    latest: OnceLock<Latest>,
}

impl History {
    /// The history of a pipeline: its file, profile and settings.
    pub fn new(cache: &Cache, of: &RunInfo) -> Self {
        Self {
            folder: cache.runs(),
            of: of.shared(&Places::of_cache(cache.root())),
            latest: OnceLock::new(),
        }
    }

    /// The key that a node had when it was last up to date.
    pub fn latest(&self, label: &str) -> Option<ActionKey> {
        let find = |of: &RunInfo| Latest::find(&self.folder, of).unwrap_or_default();
        let read = || {
            let own = find(&self.of);
            if own.keys.is_empty() {
                // The file may have had another name, or lain elsewhere.
                let of = RunInfo {
                    file: String::new(),
                    ..self.of.clone()
                };
                return find(&of);
            }
            own
        };
        self.latest.get_or_init(read).get(label)
    }

    /// Every key that a node has had in any run, the latest first, each once.
    pub fn keys(&self, label: &str) -> Vec<ActionKey> {
        let mut keys = Vec::new();
        let mut tables = BTreeSet::new();
        let runs = runs_in(&self.folder).unwrap_or_default();
        for table in runs.iter().rev().filter_map(|run| run.table) {
            if tables.insert(table)
                && let Some(key) = Latest::read(&self.folder, table).get(label)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        keys
    }
}

/// Node → action key when the node was last up to date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latest {
    keys: BTreeMap<String, ActionKey>,
}

impl Latest {
    /// The table of the latest run of the same file and profile, with the same `--set` if there is
    /// one.
    pub(super) fn find(folder: &Path, info: &RunInfo) -> Result<Self, EngineError> {
        let mut other = None;
        for name in run_names(folder)?.iter().rev() {
            let Some(run) = read_run(folder, name) else {
                continue;
            };
            if run.table.is_none() || !run.info.is_of_the_same_pipeline(info) {
                continue;
            }
            if run.info.overrides == info.overrides {
                other = run.table;
                break;
            }
            other = other.or(run.table);
        }
        Ok(other.map_or_else(Self::default, |table| Self::read(folder, table)))
    }

    /// The table of one run.
    pub fn of_run(cache: &Cache, run: &RunRecord) -> Self {
        run.table
            .map_or_else(Self::default, |digest| Self::read(&cache.runs(), digest))
    }

    pub(super) fn read(folder: &Path, digest: Digest) -> Self {
        let text = std::fs::read_to_string(table_path(folder, digest)).unwrap_or_default();
        let pair = |line: &str| {
            let (label, key) = line.split_once('\t')?;
            Some((label.to_owned(), ActionKey(key.parse().ok()?)))
        };
        Self {
            keys: text.lines().filter_map(pair).collect(),
        }
    }

    /// The key of a node.
    pub fn get(&self, label: &str) -> Option<ActionKey> {
        self.keys.get(label).copied()
    }

    /// Every node and its key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ActionKey)> {
        self.keys.iter().map(|(label, key)| (label.as_str(), *key))
    }
}
