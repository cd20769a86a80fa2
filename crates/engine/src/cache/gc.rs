use std::collections::{BTreeMap, BTreeSet};

use super::Cache;
use super::verify::{artifact_blobs, remove_if};
use super::walk::{entries, is_unfinished, key_of};
use crate::action::ActionKey;
use crate::digest::Digest;
use crate::error::EngineError;
use crate::manifest::Manifest;
use crate::records::{self, Latest, RunRecord};
use crate::tree;

/// What [`collect_garbage`] keeps.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// Runs of each profile, from the latest back, whose results stay. Runs with a name stay too.
    pub keep_runs: usize,
    /// Most bytes of blobs that may stay. What costs least time per byte to make again goes first;
    /// its manifest stays, so that what was made from it remains valid.
    pub budget: Option<u64>,
    /// Only say what would be freed.
    pub dry_run: bool,
}

/// What [`collect_garbage`] freed, or would free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Results removed.
    pub actions: usize,
    /// Blobs removed.
    pub blobs: usize,
    /// Bytes freed.
    pub bytes: u64,
    /// Bytes of the blobs that stay.
    pub kept_bytes: u64,
    /// When the earliest run that stays began, in seconds since 1970.
    pub since: Option<u64>,
    /// `node:output`, bytes: results that stay on record but whose bytes go because of the budget.
    pub dropped: Vec<(String, u64)>,
}

/// Removes every result that no kept run needs, every blob that no kept result names, and what
/// killed runs left behind.
///
/// Waits until no run uses the cache, so that no blob of a manifest still to be written is lost.
///
/// # Errors
/// When the cache can't be read or changed.
pub fn collect_garbage(cache: &Cache, options: &GcOptions) -> Result<GcReport, EngineError> {
    let _alone = cache.lock_exclusive()?;
    let mut report = GcReport::default();
    let (runs, keys) = keep(cache, options.keep_runs)?;
    report.since = runs.iter().map(|run| run.started).min();
    let kept = remove_actions(cache, &keys, options.dry_run, &mut report)?;
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
        records::remove_tables(cache, &runs)?;
    }
    Ok(report)
}

/// The runs that stay and every key in their tables.
fn keep(cache: &Cache, last: usize) -> Result<(Vec<RunRecord>, BTreeSet<ActionKey>), EngineError> {
    let mut of_profile: BTreeMap<String, usize> = BTreeMap::new();
    let mut runs = Vec::new();
    for run in records::runs(cache)?.into_iter().rev() {
        let seen = of_profile.entry(run.info.profile.clone()).or_insert(0);
        *seen += usize::from(run.table.is_some());
        if *seen <= last.max(1) || run.info.name.is_some() {
            runs.push(run);
        }
    }
    let (mut tables, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for run in &runs {
        if run.table.is_some_and(|table| tables.insert(table)) {
            keys.extend(Latest::of_run(cache, run).iter().map(|(_, key)| key));
        }
    }
    Ok((runs, keys))
}

/// Removes the results that are not in `keys`; gives those that stay.
fn remove_actions(
    cache: &Cache,
    keys: &BTreeSet<ActionKey>,
    dry_run: bool,
    report: &mut GcReport,
) -> Result<Vec<Manifest>, EngineError> {
    let mut kept = Vec::new();
    for (name, path) in entries(cache.actions.folder())? {
        let key = key_of(&name);
        if let Some(key) = key.filter(|key| keys.contains(key)) {
            if !name.ends_with(".action.json") {
                kept.extend(cache.actions.lookup(key));
            }
            continue;
        }
        report.actions += usize::from(!name.ends_with(".action.json"));
        remove_if(!dry_run, &path)?;
        if let Some(log) = key.map(|key| cache.log(&key.to_string()))
            && log.exists()
        {
            remove_if(!dry_run, &log)?;
        }
    }
    Ok(kept)
}

/// Blob → its size, for every blob that a result names and that is there.
fn live_blobs(cache: &Cache, kept: &[Manifest]) -> BTreeMap<Digest, u64> {
    let artifacts = kept.iter().flat_map(|manifest| manifest.outputs.values());
    artifacts
        .flat_map(|artifact| artifact_blobs(&cache.blobs, artifact))
        .filter_map(|digest| {
            let size = std::fs::metadata(cache.blobs.path(digest)).ok()?.len();
            Some((digest, size))
        })
        .collect()
}

/// Takes blobs out of `live` until they fit the budget, the cheapest to make again first.
fn drop_over(
    cache: &Cache,
    kept: &[Manifest],
    budget: u64,
    live: &mut BTreeMap<Digest, u64>,
    report: &mut GcReport,
) {
    let price = |manifest: &Manifest| {
        let bytes: u64 = manifest.outputs.values().map(|a| a.size).sum();
        manifest.execution.seconds / bytes.max(1) as f64
    };
    let mut order: Vec<&Manifest> = kept.iter().collect();
    order.sort_by(|a, b| price(a).total_cmp(&price(b)));
    let mut total: u64 = live.values().sum();
    for manifest in order {
        for (name, artifact) in &manifest.outputs {
            if total <= budget {
                return;
            }
            let blobs = artifact_blobs(&cache.blobs, artifact).into_iter();
            let freed: u64 = blobs.filter_map(|digest| live.remove(&digest)).sum();
            if freed > 0 {
                total -= freed;
                let what = format!("{}:{name}", manifest.execution.node);
                report.dropped.push((what, freed));
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
