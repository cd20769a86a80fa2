//! What a run would cost: bytes to download, disk, memory and time of the cells to score.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use cpipe_engine::EngineError;
use cpipe_engine::plan::Resolution;
use cpipe_engine::spec::{Location, SourceEntry};
use petgraph::graph::NodeIndex;

use crate::error::{CliError, Kind};
use crate::session::Session;

/// Operations a second that one core is taken to reach in f32. An estimate: no key depends on it.
const SPEED: f64 = 40e9;
/// Memory that scoring takes besides the weights.
const WORKING_MEMORY: u64 = 512 << 20;
/// Mean tokens of Pythia's tokenizer in 2,048 bytes of enwik8, photographs and 16-bit speech.
const TOKENS: [(&str, f64); 3] = [("text", 576.0), ("image", 1486.0), ("speech", 1972.0)];

/// What has to be downloaded, and what that occupies.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Downloads {
    sources: usize,
    /// Bytes that come over the network.
    download: u64,
    /// Bytes that are on disk afterwards.
    disk: u64,
    /// Sources that nobody has looked at.
    unknown: usize,
}

impl Downloads {
    /// Of the nodes that `targets` need and that are not in the cache.
    pub(crate) fn of(session: &Session, targets: &[NodeIndex]) -> Result<Self, EngineError> {
        let workspace = session.workspace();
        let known = vec![None; workspace.graph.dag.node_count()];
        let mut total = Self::default();
        for index in workspace.graph.ancestors(targets) {
            let fetches = workspace.node(index).work.fetches();
            if fetches.is_empty()
                || matches!(workspace.resolve(index, &known)?, Resolution::Hit(..))
            {
                continue;
            }
            for fetch in fetches {
                total.add(&session.pipeline.sources[&fetch.source]);
            }
        }
        Ok(total)
    }

    /// A repository's files lie in the hub cache and in ours, a served file as it is and unpacked.
    fn add(&mut self, entry: &SourceEntry) {
        self.sources += 1;
        let Some(locked) = &entry.locked else {
            self.unknown += 1;
            return;
        };
        let missing = match &entry.location {
            Location::Hub(_) => cpipe_corpus::missing_bytes(entry),
            _ => locked.size,
        };
        self.download += missing;
        self.disk += missing + locked.size;
    }

    /// A line for people, if there is anything to download.
    pub(crate) fn describe(&self, session: &Session) -> String {
        let mut text = String::new();
        let known = self.sources - self.unknown;
        if known > 0 {
            let free = free_space(session.cache.root());
            let free = free.map_or_else(String::new, |free| {
                format!(", {} are free", gigabytes(free))
            });
            let (download, disk) = (gigabytes(self.download), gigabytes(self.disk));
            writeln!(
                text,
                "downloads: {download} from {known} sources, {disk} on disk{free}"
            )
            .expect("writing to a string does not fail");
        }
        if self.unknown > 0 {
            writeln!(
                text,
                "downloads: {} sources are not in cpipe.lock; `cpipe update` looks repositories up \
                 without fetching their weights",
                self.unknown
            )
            .expect("writing to a string does not fail");
        }
        text
    }

    /// Refuses what can't fit, before anything is fetched.
    pub(crate) fn check(&self, session: &Session) -> Result<(), CliError> {
        let root = session.cache.root();
        match free_space(root) {
            Some(free) if free < self.disk => {
                let message = format!(
                    "the downloads need {} on disk, {} are free at {}",
                    gigabytes(self.disk),
                    gigabytes(free),
                    root.display()
                );
                let hint = "free some space, put the cache elsewhere with --cache and the hub's \
                            with HF_HOME, or ask for fewer nodes";
                Err(CliError::new(Kind::Cache, &message, Some(hint)))
            }
            _ => Ok(()),
        }
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

/// Bytes that may still be written there; none if the system does not say.
fn free_space(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// A line for each size of model among the nodes to be scored.
pub(crate) fn describe_scoring(session: &Session, nodes: &[NodeIndex], cores: usize) -> String {
    let mut sizes: BTreeMap<u64, (usize, f64)> = BTreeMap::new();
    for index in nodes {
        if let Some((bytes, operations)) = work_of(session, *index) {
            let (cells, total) = sizes.entry(bytes).or_default();
            *cells += 1;
            *total += operations;
        }
    }
    let mut text = String::new();
    for (bytes, (cells, operations)) in sizes {
        let minutes = operations / cells as f64 / (SPEED * cores as f64) / 60.0;
        let memory = gigabytes(bytes + WORKING_MEMORY);
        writeln!(
            text,
            "score: {cells} cells with {} of weights, each about {memory} of memory and \
             {minutes:.0} min on {cores} CPU cores",
            gigabytes(bytes)
        )
        .expect("writing to a string does not fail");
    }
    text
}

/// Bytes of weights and operations of a node that scores a locked model.
fn work_of(session: &Session, index: NodeIndex) -> Option<(u64, f64)> {
    let graph = &session.pipeline.graph;
    if graph.dag[index].work.id().name != "score" {
        return None;
    }
    let (mut bytes, mut tokens) = (0, 0.0);
    for up in graph.ancestors(&[index]) {
        let work = &graph.dag[up].work;
        for fetch in work.fetches() {
            bytes += weight_bytes(&session.pipeline.sources[&fetch.source]);
        }
        if work.id().name == "chunk" {
            tokens += tokens_of(&work.params());
        }
    }
    // Published weights have two bytes a parameter; each token multiplies and adds all of them.
    (bytes > 0).then(|| (bytes, bytes as f64 / 2.0 * 2.0 * tokens))
}

fn weight_bytes(entry: &SourceEntry) -> u64 {
    let files = entry.locked.iter().flat_map(|locked| &locked.files);
    let is_weight = |name: &str| {
        let extension = Path::new(name).extension();
        extension.is_some_and(|e| e == "safetensors" || e == "bin")
    };
    let weights = files.filter(|(name, _)| is_weight(name));
    weights.map(|(_, file)| file.size).sum()
}

fn tokens_of(chunk: &serde_json::Value) -> f64 {
    let count = chunk["count"].as_f64().unwrap_or(0.0);
    let decoder = chunk["decode"].as_str().unwrap_or_default();
    let known = TOKENS.iter().find(|(name, _)| *name == decoder);
    count * known.map_or(2048.0, |(_, tokens)| *tokens)
}
