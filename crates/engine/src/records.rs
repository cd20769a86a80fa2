//! Records of runs: what was asked for, what became of every node, and which action each node had.
//!
//! `runs/ID.json` says what the run was and how it ended; `runs/ID.nodes.jsonl` gets a line for
//! every node that ran, failed or was interrupted, as it happens. `runs/tables/DIGEST.tsv` holds
//! node and action key, a line each, for all nodes that were up to date; runs that found the same
//! share it, so that a run without work writes one small file. No absolute path is in any of them.

mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use history::{History, Latest};
use serde::{Deserialize, Serialize};

use crate::action::ActionKey;
use crate::cache::{Cache, write_atomically};
use crate::digest::Digest;
use crate::error::EngineError;
use crate::graph::Graph;
use crate::places::Places;
use crate::run::Summary;
use crate::stage::Report;

/// What a run was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// A name given to it, by which `gc` can be told to keep it.
    #[serde(default)]
    pub name: Option<String>,
    /// The pipeline file, as [`Places`] writes it. Versions before 0.2 did not say it.
    #[serde(default)]
    pub file: String,
    /// Profile.
    pub profile: String,
    /// `--set` in order.
    pub overrides: Vec<(String, String)>,
    /// Selectors and flags as given.
    pub arguments: Vec<String>,
    /// Device that scores are computed on, where the program knows one.
    pub device: String,
}

impl RunInfo {
    /// Whether it is a run of the same pipeline file, as far as that is on record, and profile.
    fn is_of_the_same_pipeline(&self, other: &Self) -> bool {
        let is_unknown = self.file.is_empty() || other.file.is_empty();
        self.profile == other.profile && (is_unknown || self.file == other.file)
    }

    /// The same, with every absolute path in it hidden.
    fn shared(&self, places: &Places) -> Self {
        let hide = |text: &String| places.hide_in_argument(text);
        let overrides = self.overrides.iter();
        Self {
            overrides: overrides.map(|(k, v)| (k.clone(), hide(v))).collect(),
            arguments: self.arguments.iter().map(hide).collect(),
            ..self.clone()
        }
    }
}

/// How a run ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It is under way, or was killed.
    Running,
    /// Everything is up to date.
    Done,
    /// Some node failed.
    Failed,
    /// It was interrupted.
    Interrupted,
}

/// The record of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// `YYYYMMDD-HHMMSS-mmm`, UTC; sorts by time.
    pub id: String,
    /// What it was asked for.
    pub info: RunInfo,
    /// Version of cpipe.
    pub version: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Cores that it might use.
    pub jobs: usize,
    /// How it ended.
    pub state: RunState,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Nodes that ran.
    pub executed: usize,
    /// Nodes found in the cache.
    pub cached: usize,
    /// Nodes that failed.
    pub failed: usize,
    /// Nodes that were not run because one they need failed.
    pub skipped: usize,
    /// Digest of its table of nodes and action keys.
    pub table: Option<Digest>,
}

/// What became of a node that was not simply found in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It ran.
    Executed,
    /// It failed.
    Failed,
    /// It was interrupted.
    Interrupted,
}

/// One node of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Label.
    pub node: String,
    /// Action key, where it got as far.
    pub key: Option<ActionKey>,
    /// What became of it.
    pub state: NodeState,
    /// How often it was tried.
    pub attempts: u32,
    /// How long the last attempt took.
    pub seconds: Option<f64>,
    /// Most memory at once, in bytes.
    pub peak_memory: Option<u64>,
    /// What the stage said: device, dtype, tokens.
    pub report: Report,
    /// Why it failed.
    pub message: Option<String>,
}

/// Writes the record of the run that is under way.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    places: Places,
    record: Mutex<RunRecord>,
    /// None in a cache that can't be written to.
    nodes: Option<Mutex<File>>,
    read_only: bool,
}

impl Journal {
    pub(crate) fn begin(cache: &Cache, info: &RunInfo, jobs: usize) -> Result<Self, EngineError> {
        let folder = cache.runs();
        let places = Places::of_cache(cache.root());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let read_only = cache.is_read_only();
        let (id, nodes) = if read_only {
            (stamp(now), None)
        } else {
            let (id, file) = claim(&folder, now)?;
            (id, Some(Mutex::new(file)))
        };
        let record = RunRecord {
            id,
            info: info.shared(&places),
            version: env!("CARGO_PKG_VERSION").into(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            jobs,
            state: RunState::Running,
            started: now.as_secs(),
            seconds: 0.0,
            executed: 0,
            cached: 0,
            failed: 0,
            skipped: 0,
            table: None,
        };
        let journal = Self {
            folder,
            places,
            record: Mutex::new(record),
            nodes,
            read_only,
        };
        journal.write(&lock(&journal.record))?;
        Ok(journal)
    }

    pub(crate) fn id(&self) -> String {
        lock(&self.record).id.clone()
    }

    /// Appends what became of a node. A record that can't be written must not stop the run.
    pub(crate) fn node(&self, node: &NodeRecord) {
        let message = node.message.as_ref();
        let shared = NodeRecord {
            report: node.report.shared(&self.places),
            message: message.map(|text| self.places.hide_in_message(text)),
            ..node.clone()
        };
        let mut line = serde_json::to_vec(&shared).expect("a record is plain data");
        line.push(b'\n');
        if let Some(nodes) = &self.nodes {
            let _ = lock(nodes).write_all(&line);
        }
    }

    /// Writes the table: what was found now, and before it what an earlier run of the same file and
    /// profile knew of the nodes that this one did not look at.
    pub(crate) fn table<'n>(
        &self,
        found: impl Iterator<Item = (&'n str, ActionKey)>,
        graph: &'n Graph,
    ) -> Result<Digest, EngineError> {
        let mut keys: BTreeMap<&str, ActionKey> = found.collect();
        let earlier;
        if keys.len() < graph.dag.node_count() {
            let info = lock(&self.record).info.clone();
            earlier = Latest::find(&self.folder, &info)?;
            for node in graph.dag.node_weights() {
                if let Some(key) = earlier.get(node.label()) {
                    keys.entry(node.label()).or_insert(key);
                }
            }
        }
        let mut text = String::with_capacity(keys.len() * 96);
        for (label, key) in &keys {
            text.extend([label, "\t", &key.to_string(), "\n"]);
        }
        let digest = Digest::of(text.as_bytes());
        let path = table_path(&self.folder, digest);
        if !path.exists() && !self.read_only {
            write_atomically(&path, text.as_bytes())?;
        }
        lock(&self.record).table = Some(digest);
        Ok(digest)
    }

    /// `whole` says that no error broke the run off.
    pub(crate) fn end(&self, summary: &Summary, whole: bool) -> Result<(), EngineError> {
        let mut record = lock(&self.record);
        record.state = match summary {
            Summary {
                interrupted: true, ..
            } => RunState::Interrupted,
            Summary { failed: 0, .. } if whole => RunState::Done,
            _ => RunState::Failed,
        };
        record.seconds = summary.seconds;
        record.executed = summary.executed;
        record.cached = summary.cached;
        record.failed = summary.failed;
        record.skipped = summary.skipped;
        self.write(&record)
    }

    fn write(&self, record: &RunRecord) -> Result<(), EngineError> {
        if self.read_only {
            return Ok(());
        }
        let mut text = serde_json::to_string_pretty(record).expect("a record is plain data");
        text.push('\n');
        write_atomically(
            &self.folder.join(format!("{}.json", record.id)),
            text.as_bytes(),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Records are changed in one step, so a panic elsewhere leaves one that is still right.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other run has, claimed by making its file of nodes.
fn claim(folder: &Path, now: Duration) -> Result<(String, File), EngineError> {
    let mut moment = now;
    loop {
        let id = stamp(moment);
        let path = folder.join(format!("{id}.nodes.jsonl"));
        match File::options().create_new(true).append(true).open(&path) {
            Ok(file) => return Ok((id, file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                moment += Duration::from_millis(1);
            }
            Err(e) => return Err(EngineError::io("write", &path, e)),
        }
    }
}

/// `YYYYMMDD-HHMMSS-mmm` in UTC.
fn stamp(moment: Duration) -> String {
    let second = i64::try_from(moment.as_secs()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(second).unwrap_or_default();
    let milliseconds = moment.subsec_millis();
    format!("{}-{milliseconds:03}", time.strftime("%Y%m%d-%H%M%S"))
}

fn table_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join("tables").join(format!("{digest}.tsv"))
}

/// Every run on record, the latest last. A record that can't be understood is passed over.
pub fn runs(cache: &Cache) -> Result<Vec<RunRecord>, EngineError> {
    runs_in(&cache.runs())
}

/// The record of the run with this name of its own, if it can be understood.
pub fn run(cache: &Cache, id: &str) -> Option<RunRecord> {
    read_run(&cache.runs(), id)
}

fn runs_in(folder: &Path) -> Result<Vec<RunRecord>, EngineError> {
    let names = run_names(folder)?;
    Ok(names
        .into_iter()
        .filter_map(|name| read_run(folder, &name))
        .collect())
}

/// File names of the records, by time.
fn run_names(folder: &Path) -> Result<BTreeSet<String>, EngineError> {
    let failed = |e| EngineError::io("read", folder, e);
    let mut names = BTreeSet::new();
    for entry in fs_err::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if let Some(id) = name.strip_suffix(".json") {
            names.insert(id.to_owned());
        }
    }
    Ok(names)
}

fn read_run(folder: &Path, id: &str) -> Option<RunRecord> {
    let text = std::fs::read(folder.join(format!("{id}.json"))).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The nodes that a run executed or failed at, in the order in which they ended.
pub fn nodes(cache: &Cache, run: &RunRecord) -> Vec<NodeRecord> {
    let path = cache.runs().join(format!("{}.nodes.jsonl", run.id));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Removes the tables that none of these runs has. Records stay: they are small.
pub(crate) fn remove_tables<'r>(
    cache: &Cache,
    kept: impl Iterator<Item = &'r RunRecord>,
) -> Result<(), EngineError> {
    let used: BTreeSet<Digest> = kept.filter_map(|run| run.table).collect();
    let folder = cache.runs().join("tables");
    for (name, path) in crate::cache::files_below(&folder)? {
        let digest = name.strip_suffix(".tsv").and_then(|hex| hex.parse().ok());
        if digest.is_none_or(|digest| !used.contains(&digest)) {
            fs_err::remove_file(&path).map_err(|e| EngineError::io("remove", &path, e))?;
        }
    }
    Ok(())
}
