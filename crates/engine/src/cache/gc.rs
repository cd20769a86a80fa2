//! Garbage collection: what nobody needs goes, what was dear to make stays.

mod keep;

use std::collections::BTreeMap;

use keep::Kept;
pub use keep::{DEAR, KeptRun};

use super::Cache;
use super::verify::{artifact_blobs, remove_if};
use super::walk::{entries, is_unfinished, key_of};
use crate::digest::Digest;
use crate::error::EngineError;
use crate::records;
use crate::tree;

/// What [`collect_garbage`] keeps.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// Runs of each pipeline file, profile and `--set`, from the latest back, whose results stay.
    /// Runs with a name stay too.
    pub keep_runs: usize,
    /// Whether runs with `--set` count; without, only those with a name stay.
    pub keep_sets: bool,
    /// Most bytes of blobs that may stay. What costs least time per byte to make again goes first;
    /// its manifest stays, so that what was made from it remains valid.
    pub budget: Option<u64>,
    /// Results of other runs stay, too, if they took at least so many seconds for each megabyte.
    pub dear: f64,
    /// Only say what would be freed.
    pub dry_run: bool,
}

/// What [`collect_garbage`] freed, or would free.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GcReport {
    /// Results removed.
    pub actions: usize,
    /// Stage → results of it that were removed.
    pub removed: BTreeMap<String, usize>,
    /// Blobs removed.
    pub blobs: usize,
    /// Bytes freed.
    pub bytes: u64,
    /// Bytes of the blobs that stay.
    pub kept_bytes: u64,
    /// The runs whose results stay, the latest first.
    pub runs: Vec<KeptRun>,
    /// Stage → results of other runs that stay because they are small and were dear to make.
    pub dear: BTreeMap<String, usize>,
    /// Results that stay on record without their bytes, because a dear one rests on them.
    pub on_record: usize,
    /// When the earliest run that stays began, in seconds since 1970.
    pub since: Option<u64>,
    /// Outputs of results that stay on record but whose bytes go because of the budget.
    pub dropped: Vec<Dropped>,
}

/// An output whose bytes go because of the budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// `node:output`.
    pub output: String,
    /// Bytes freed.
    pub bytes: u64,
    /// Whether it is made from sources alone: only they can bring it back.
    pub is_copy: bool,
}

/// Removes every result that no kept run needs and that was cheap to make, every blob that no kept
/// result names, and what killed runs left behind.
///
/// Waits until no run uses the cache, so that no blob of a manifest still to be written is lost.
///
/// # Errors
/// When the cache can't be read or changed.
pub fn collect_garbage(cache: &Cache, options: &GcOptions) -> Result<GcReport, EngineError> {
    let _alone = cache.lock_exclusive()?;
    let kept = Kept::choose(cache, options)?;
    let mut report = GcReport {
        since: kept.runs.iter().map(|kept| kept.run.started).min(),
        dear: stages(
            kept.dear
                .values()
                .map(|result| &result.manifest.execution.node),
        ),
        on_record: kept.records.len(),
        runs: kept.runs.clone(),
        ..GcReport::default()
    };
    remove_actions(cache, &kept, options.dry_run, &mut report)?;
    let mut live = live_blobs(cache, &kept);
    if let Some(budget) = options.budget {
        drop_over(cache, &kept, budget, &mut live, &mut report);
    }
    for (name, path) in entries(cache.blobs.folder())? {
        let size = fs_err::metadata(&path).map_or(0, |meta| meta.len());
        if name
            .parse()
            .is_ok_and(|digest: Digest| live.contains_key(&digest))
        {
            report.kept_bytes += size;
            continue;
        }
        report.blobs += 1;
        report.bytes += size;
        remove_if(!options.dry_run, &path)?;
    }
    if !options.dry_run {
        remove_leftovers(cache)?;
        let runs = kept.runs.iter().map(|kept| &kept.run);
        records::remove_tables(cache, runs)?;
    }
    Ok(report)
}

/// How many of these nodes each stage has.
fn stages<'n>(nodes: impl Iterator<Item = &'n String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in nodes {
        *counts.entry(stage_of(node).to_owned()).or_default() += 1;
    }
    counts
}

fn stage_of(node: &str) -> &str {
    node.split('[').next().unwrap_or(node)
}

/// Removes the results that do not stay, with their logs.
fn remove_actions(
    cache: &Cache,
    kept: &Kept,
    dry_run: bool,
    report: &mut GcReport,
) -> Result<(), EngineError> {
    let mut nodes = Vec::new();
    for (name, path) in entries(cache.actions.folder())? {
        let key = key_of(&name);
        if key.is_some_and(|key| kept.has_record(key)) {
            continue;
        }
        if !name.ends_with(".action.json") {
            report.actions += 1;
            let manifest = key.and_then(|key| cache.actions.lookup(key));
            nodes.extend(manifest.map(|manifest| manifest.execution.node));
        }
        remove_if(!dry_run, &path)?;
        if let Some(log) = key.map(|key| cache.log(&key.to_string()))
            && log.exists()
        {
            remove_if(!dry_run, &log)?;
        }
    }
    report.removed = stages(nodes.iter());
    Ok(())
}

/// A blob that stays: its size, and the most that a megabyte of what it belongs to has cost.
struct Live {
    size: u64,
    price: f64,
}

/// Every blob that a kept result names and that is there.
fn live_blobs(cache: &Cache, kept: &Kept) -> BTreeMap<Digest, Live> {
    let mut live: BTreeMap<Digest, Live> = BTreeMap::new();
    for result in kept.results() {
        let artifacts = result.manifest.outputs.values();
        for digest in artifacts.flat_map(|artifact| artifact_blobs(&cache.blobs, artifact)) {
            let Ok(meta) = std::fs::metadata(cache.blobs.path(digest)) else {
                continue;
            };
            let price = result.price;
            let size = meta.len();
            let blob = live.entry(digest).or_insert(Live { size, price });
            blob.price = blob.price.max(price);
        }
    }
    live
}

/// Takes blobs out of `live` until they fit the budget, the cheapest to make again first. A blob that
/// belongs to several results goes with the dearest of them.
fn drop_over(
    cache: &Cache,
    kept: &Kept,
    budget: u64,
    live: &mut BTreeMap<Digest, Live>,
    report: &mut GcReport,
) {
    let mut order: Vec<_> = kept.results().collect();
    order.sort_by(|a, b| a.price.total_cmp(&b.price));
    let mut total: u64 = live.values().map(|blob| blob.size).sum();
    for result in order {
        for (name, artifact) in &result.manifest.outputs {
            if total <= budget {
                return;
            }
            let mut freed = 0;
            for digest in artifact_blobs(&cache.blobs, artifact) {
                if live
                    .get(&digest)
                    .is_some_and(|blob| blob.price <= result.price)
                {
                    freed += live.remove(&digest).map_or(0, |blob| blob.size);
                }
            }
            if freed > 0 {
                total -= freed;
                report.dropped.push(Dropped {
                    output: format!("{}:{name}", result.manifest.execution.node),
                    bytes: freed,
                    is_copy: result.is_copy,
                });
            }
        }
    }
}

/// Private folders of killed runs, and files that they were writing. What belongs to another user,
/// and cannot be removed, stays.
fn remove_leftovers(cache: &Cache) -> Result<(), EngineError> {
    let tmp = cache.root().join("tmp");
    for entry in fs_err::read_dir(&tmp).map_err(|e| EngineError::io("read", &tmp, e))? {
        let path = entry.map_err(|e| EngineError::io("read", &tmp, e))?.path();
        match tree::remove(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::PermissionDenied => {
                return Err(EngineError::io("remove", &path, e));
            }
            _ => {}
        }
    }
    for (name, path) in super::files_below(cache.root())? {
        remove_if(is_unfinished(&name), &path)?;
    }
    Ok(())
}
