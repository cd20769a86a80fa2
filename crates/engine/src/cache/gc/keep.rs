//! Which results garbage collection keeps, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cache, GcOptions};
use crate::action::ActionKey;
use crate::cache::verify::artifact_blobs;
use crate::cache::walk::{BLOCK, manifests_by_key};
use crate::error::EngineError;
use crate::manifest::Manifest;
use crate::records::{self, Latest, NodeState, RunInfo, RunRecord};

/// What a result has cost, in seconds for each megabyte that it occupies, to count as dear.
///
/// Copies of files cost up to 1.1, figures 1.5, scores of the nano models 16 to 66.
pub const DEAR: f64 = 2.0;

/// A run whose results stay.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptRun {
    /// Its record.
    pub run: RunRecord,
    /// How many nodes it found up to date.
    pub results: usize,
}

/// Seconds that each megabyte of a result took. What its files and its record occupy counts, in whole
/// blocks: many small files are quickly copied and take much room.
fn price(cache: &Cache, manifest: &Manifest, record: u64) -> f64 {
    let artifacts = manifest.outputs.values();
    let blobs = artifacts.flat_map(|artifact| artifact_blobs(&cache.blobs, artifact));
    let size = |digest| std::fs::metadata(cache.blobs.path(digest)).map_or(0, |meta| meta.len());
    let stored: u64 = blobs
        .map(|digest| size(digest).next_multiple_of(BLOCK))
        .sum();
    // Of what is not stored any more the manifest says how large it was.
    let said: u64 = manifest
        .outputs
        .values()
        .map(|artifact| artifact.size)
        .sum();
    manifest.execution.seconds * 1e6 / (stored.max(said) + record).max(1) as f64
}

/// A result on record.
pub(super) struct OnRecord {
    pub(super) manifest: Manifest,
    pub(super) price: f64,
    /// Whether it is made from sources alone: once it is gone, only they can bring it back.
    pub(super) is_copy: bool,
}

/// What stays.
pub(super) struct Kept {
    pub(super) runs: Vec<KeptRun>,
    /// Results that a kept run needs.
    pub(super) needed: BTreeMap<ActionKey, OnRecord>,
    /// Results of other runs that are small and were dear to make.
    pub(super) dear: BTreeMap<ActionKey, OnRecord>,
    /// What these rest on: the records stay, so that the keys remain known, the bytes go.
    pub(super) records: BTreeSet<ActionKey>,
}

impl Kept {
    pub(super) fn choose(cache: &Cache, options: &GcOptions) -> Result<Self, EngineError> {
        let (runs, keys) = runs(cache, options)?;
        let mut all = BTreeMap::new();
        for (key, manifest, record) in manifests_by_key(cache)? {
            let price = price(cache, &manifest, record);
            let inputs = cache.actions.action(key).map(|action| action.inputs);
            let is_copy = inputs.is_some_and(|inputs| {
                !inputs.is_empty() && inputs.keys().all(|name| name.starts_with("source "))
            });
            let result = OnRecord {
                manifest,
                price,
                is_copy,
            };
            all.insert(key, result);
        }
        let is_dear = |(key, result): &(&ActionKey, &OnRecord)| {
            !keys.contains(key) && result.price >= options.dear
        };
        let dear: Vec<ActionKey> = all.iter().filter(is_dear).map(|(key, _)| *key).collect();
        let below = below(cache, &dear, &all);
        let mut take = |keys: &mut dyn Iterator<Item = ActionKey>| {
            keys.filter_map(|key| Some((key, all.remove(&key)?)))
                .collect()
        };
        let needed: BTreeMap<_, _> = take(&mut keys.iter().copied());
        let dear = take(&mut dear.into_iter());
        Ok(Self {
            records: below
                .into_iter()
                .filter(|key| all.contains_key(key))
                .collect(),
            runs,
            needed,
            dear,
        })
    }

    pub(super) fn has_record(&self, key: ActionKey) -> bool {
        self.has_bytes(key) || self.records.contains(&key)
    }

    fn has_bytes(&self, key: ActionKey) -> bool {
        self.needed.contains_key(&key) || self.dear.contains_key(&key)
    }

    /// Results whose bytes stay.
    pub(super) fn results(&self) -> impl Iterator<Item = &OnRecord> {
        self.needed.values().chain(self.dear.values())
    }
}

/// The runs that stay and the keys of what they found or made: the latest of each pipeline file,
/// profile and `--set` with those that were killed since, and those with a name.
fn runs(
    cache: &Cache,
    options: &GcOptions,
) -> Result<(Vec<KeptRun>, BTreeSet<ActionKey>), EngineError> {
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    let (mut kept, mut keys) = (Vec::new(), BTreeSet::new());
    for run in records::runs(cache)?.into_iter().rev() {
        let RunInfo {
            file,
            profile,
            overrides,
            name,
            ..
        } = run.info.clone();
        let is_trial = !options.keep_sets && !overrides.is_empty();
        let seen = seen.entry((file, profile, overrides)).or_insert(0);
        let is_late = *seen < options.keep_runs.max(1);
        *seen += usize::from(run.table.is_some());
        if name.is_some() || (is_late && !is_trial) {
            let own = keys_of(cache, &run);
            let results = own.len();
            keys.extend(own);
            kept.push(KeptRun { run, results });
        }
    }
    Ok((kept, keys))
}

/// What a run found up to date. One that was killed has no table: what it executed counts.
fn keys_of(cache: &Cache, run: &RunRecord) -> BTreeSet<ActionKey> {
    if run.table.is_some() {
        let latest = Latest::of_run(cache, run);
        return latest.iter().map(|(_, key)| key).collect();
    }
    let nodes = records::nodes(cache, run).into_iter();
    let done = nodes.filter(|node| node.state == NodeState::Executed);
    done.filter_map(|node| node.key).collect()
}

/// All that these results rest on, by the digests of their inputs.
fn below(
    cache: &Cache,
    dear: &[ActionKey],
    all: &BTreeMap<ActionKey, OnRecord>,
) -> BTreeSet<ActionKey> {
    let mut makers: BTreeMap<String, Vec<ActionKey>> = BTreeMap::new();
    for (key, result) in all {
        for artifact in result.manifest.outputs.values() {
            makers.entry(artifact.identity()).or_default().push(*key);
        }
    }
    let mut found: BTreeSet<ActionKey> = BTreeSet::new();
    let mut queue = dear.to_vec();
    while let Some(key) = queue.pop() {
        let inputs = cache.actions.action(key).map(|action| action.inputs);
        for digest in inputs.unwrap_or_default().values() {
            let makers = makers.get(digest).into_iter().flatten();
            queue.extend(makers.filter(|maker| found.insert(**maker)));
        }
    }
    found
}
