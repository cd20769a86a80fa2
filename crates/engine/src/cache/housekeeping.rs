use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Cache;
use crate::action::ActionKey;
use crate::digest::{self, Digest};
use crate::error::EngineError;
use crate::manifest::Manifest;
use crate::stage::OutputKind;

/// What [`verify`] found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Blobs that were hashed.
    pub blobs: usize,
    /// Their size.
    pub bytes: u64,
    /// Blobs whose bytes are not what their name says.
    pub damaged: Vec<PathBuf>,
    /// Manifests that were read.
    pub manifests: usize,
    /// Manifests that can't be understood.
    pub unreadable: Vec<PathBuf>,
    /// (node, output) of manifests whose blobs are not all there.
    pub incomplete: Vec<(String, String)>,
}

impl VerifyReport {
    /// Whether nothing is damaged. Blobs that gc dropped are no damage.
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.unreadable.is_empty()
    }
}

/// Hashes every blob again and reads every manifest; with `repair` removes what is damaged.
pub fn verify(cache: &Cache, repair: bool) -> Result<VerifyReport, EngineError> {
    let mut report = VerifyReport::default();
    for (name, path) in entries(cache.blobs.folder())? {
        let failed = |e| EngineError::io("read", &path, e);
        report.blobs += 1;
        report.bytes += fs_err::metadata(&path).map_err(failed)?.len();
        let whole = name
            .parse::<Digest>()
            .is_ok_and(|expected| digest::hash_file(&path).is_ok_and(|found| found == expected));
        if !whole {
            remove_if(repair, &path)?;
            report.damaged.push(path);
        }
    }
    for (name, path) in entries(cache.actions.folder())? {
        if name.ends_with(".action.json") {
            continue;
        }
        report.manifests += 1;
        if let Some(manifest) = read_manifest(cache, &name) {
            note_incomplete(cache, &manifest, &mut report);
        } else {
            remove_if(repair, &path)?;
            report.unreadable.push(path);
        }
    }
    Ok(report)
}

fn note_incomplete(cache: &Cache, manifest: &Manifest, report: &mut VerifyReport) {
    for (name, artifact) in &manifest.outputs {
        if !cache.blobs.contains_artifact(artifact) {
            let node = manifest.execution.node.clone();
            report.incomplete.push((node, name.clone()));
        }
    }
}

fn remove_if(repair: bool, path: &Path) -> Result<(), EngineError> {
    if repair {
        fs_err::remove_file(path).map_err(|e| EngineError::io("remove", path, e))?;
    }
    Ok(())
}

/// What [`collect_garbage`] freed, or would free.
#[derive(Debug, Default)]
pub struct GcReport {
    /// Action records removed.
    pub actions: usize,
    /// Blobs removed.
    pub blobs: usize,
    /// Bytes freed.
    pub bytes: u64,
    /// Bytes of the blobs that stay.
    pub kept_bytes: u64,
}

/// Removes every action that is not in `keep`, every blob that no kept manifest names, and what
/// killed runs left behind. With `dry_run` only says what it would do.
///
/// Waits until no run uses the cache, so that no blob of a manifest still to be written is lost.
pub fn collect_garbage(
    cache: &Cache,
    keep: &BTreeSet<ActionKey>,
    dry_run: bool,
) -> Result<GcReport, EngineError> {
    let _alone = cache.lock_exclusive()?;
    let mut report = GcReport::default();
    let mut live = BTreeSet::new();
    for (name, path) in entries(cache.actions.folder())? {
        let kept = key_of(&name).is_some_and(|key| keep.contains(&key));
        if !kept {
            report.actions += usize::from(!name.ends_with(".action.json"));
            remove_if(!dry_run, &path)?;
        } else if let Some(manifest) = read_manifest(cache, &name) {
            collect_live(cache, &manifest, &mut live);
        }
    }
    for (name, path) in entries(cache.blobs.folder())? {
        let size = fs_err::metadata(&path).map_or(0, |meta| meta.len());
        let named = name
            .parse::<Digest>()
            .is_ok_and(|digest| live.contains(&digest));
        if named {
            report.kept_bytes += size;
            continue;
        }
        report.blobs += 1;
        report.bytes += size;
        remove_if(!dry_run, &path)?;
    }
    if !dry_run {
        remove_leftovers(cache)?;
    }
    Ok(report)
}

fn collect_live(cache: &Cache, manifest: &Manifest, live: &mut BTreeSet<Digest>) {
    for artifact in manifest.outputs.values() {
        live.insert(artifact.digest);
        if artifact.kind == OutputKind::Dir
            && let Ok(listing) = cache.blobs.listing(artifact.digest)
        {
            live.extend(listing.0.values());
        }
    }
}

/// Private folders of killed runs.
fn remove_leftovers(cache: &Cache) -> Result<(), EngineError> {
    let tmp = cache.root().join("tmp");
    fs_err::remove_dir_all(&tmp)
        .and_then(|()| fs_err::create_dir(&tmp))
        .map_err(|e| EngineError::io("empty", &tmp, e))
}

fn key_of(name: &str) -> Option<ActionKey> {
    let hex = name
        .strip_suffix(".action.json")
        .or_else(|| name.strip_suffix(".json"))?;
    hex.parse().ok().map(ActionKey)
}

fn read_manifest(cache: &Cache, name: &str) -> Option<Manifest> {
    cache.actions.lookup(key_of(name)?)
}

/// (name with its shard, path) of every file in a sharded folder, sorted.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, EngineError> {
    let files = super::stat_cache::files_below(folder)?;
    Ok(files
        .into_iter()
        .map(|(name, path)| (name.replace('/', ""), path))
        .collect())
}
