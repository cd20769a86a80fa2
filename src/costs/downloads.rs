use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use cpipe_engine::EngineError;
use cpipe_engine::plan::Resolution;
use cpipe_engine::spec::{Location, SourceEntry};
use petgraph::graph::NodeIndex;

use super::gigabytes;
use crate::error::{CliError, Kind};
use crate::session::Session;

/// What has to be downloaded, and what that occupies where.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Downloads {
    sources: usize,
    /// Bytes that come over the network.
    download: u64,
    /// Bytes that the user's hub cache will have more.
    hub: u64,
    /// Bytes that our cache will have more.
    cache: u64,
    /// Sources that nobody has looked at.
    unknown: usize,
    /// Whether what lies in the hub cache can stand in ours without taking its place twice.
    shared: bool,
}

impl Downloads {
    /// Of the nodes that `targets` need and that are not in the cache.
    pub(crate) fn of(session: &Session, targets: &[NodeIndex]) -> Result<Self, EngineError> {
        let workspace = session.workspace();
        let known = vec![None; workspace.graph.dag.node_count()];
        let mut needed = Vec::new();
        for index in workspace.graph.ancestors(targets) {
            let fetches = workspace.node(index).work.fetches();
            if fetches.is_empty()
                || matches!(workspace.resolve(index, &known)?, Resolution::Hit(..))
            {
                continue;
            }
            let sources = fetches.iter().map(|fetch| &fetch.source);
            needed.extend(sources.map(|source| &session.pipeline.sources[source]));
        }
        let from_hub = |entry: &&SourceEntry| matches!(entry.location, Location::Hub(_));
        let shared = needed.iter().any(from_hub)
            && cpipe_engine::tree::shares_blocks(
                &cpipe_corpus::hub_cache(),
                &session.cache.root().join("tmp"),
            );
        let mut total = Self {
            shared,
            ..Self::default()
        };
        for entry in needed {
            total.add(entry);
        }
        Ok(total)
    }

    /// A repository's files lie in the hub cache and in ours, which is once where both share blocks; a
    /// served file lies there until it is unpacked.
    fn add(&mut self, entry: &SourceEntry) {
        self.sources += 1;
        let Some(locked) = &entry.locked else {
            self.unknown += 1;
            return;
        };
        if let Location::Hub(_) = &entry.location {
            let missing = cpipe_corpus::missing_bytes(entry);
            self.download += missing;
            self.hub += missing;
            self.cache += if self.shared { 0 } else { locked.size };
        } else {
            self.download += locked.size;
            self.cache += 2 * locked.size;
        }
    }

    /// Lines for people, if there is anything to download.
    pub(crate) fn describe(&self, session: &Session) -> String {
        let mut text = String::new();
        let known = self.sources - self.unknown;
        if known > 0 {
            let download = gigabytes(self.download);
            let disks = self.disks(session.cache.root()).into_iter();
            let disks: Vec<String> = disks.map(|disk| disk.describe()).collect();
            let disks = disks.join("; ");
            writeln!(
                text,
                "downloads: {download} from {known} sources; disk: {disks}"
            )
            .expect("writing to a string does not fail");
        }
        if self.unknown > 0 {
            writeln!(
                text,
                "downloads: {} sources are not in cpipe.lock; `{}` looks repositories up \
                 without fetching their weights",
                self.unknown,
                session.command("update")
            )
            .expect("writing to a string does not fail");
        }
        text
    }

    /// Refuses what can't fit, before anything is fetched.
    pub(crate) fn check(&self, session: &Session) -> Result<(), CliError> {
        let disks = self.disks(session.cache.root());
        let Some(full) = disks.iter().find(|disk| disk.free < disk.needed) else {
            return Ok(());
        };
        let message = format!(
            "the downloads need {} on disk, {} are free at {}",
            gigabytes(full.needed),
            gigabytes(full.free),
            full.path.display()
        );
        let hint = "free some space, put the cache elsewhere with --cache and the hub's with \
                    HF_HOME, or ask for fewer nodes";
        Err(CliError::new(Kind::Cache, &message, Some(hint)))
    }

    /// The disks that something is written to, each once.
    fn disks(&self, cache: &Path) -> Vec<Disk> {
        let mut disks: BTreeMap<u64, Disk> = BTreeMap::new();
        let places = [
            (cache.to_owned(), self.cache),
            (cpipe_corpus::hub_cache(), self.hub),
        ];
        for (path, needed) in places.into_iter().filter(|(_, needed)| *needed > 0) {
            let Some((number, free)) = disk_of(&path) else {
                continue;
            };
            let disk = disks.entry(number).or_insert(Disk {
                path,
                needed: 0,
                free,
            });
            disk.needed += needed;
        }
        disks.into_values().collect()
    }
}

/// A disk that downloads need.
struct Disk {
    /// A folder on it that may still have to be made.
    path: PathBuf,
    needed: u64,
    free: u64,
}

impl Disk {
    fn describe(&self) -> String {
        let (needed, free) = (gigabytes(self.needed), gigabytes(self.free));
        format!("{needed} of {free} free at {}", self.path.display())
    }
}

/// The number of the disk that holds a folder, or will, and the bytes that may still be written
/// there; none if the system does not say.
fn disk_of(path: &Path) -> Option<(u64, u64)> {
    let there = path.ancestors().find(|folder| folder.is_dir())?;
    let number = rustix::fs::stat(there).ok()?.st_dev;
    let found = rustix::fs::statvfs(there).ok()?;
    Some((number, found.f_bavail.saturating_mul(found.f_frsize)))
}
