use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Cache;
use super::files::UNFINISHED;
use crate::action::ActionKey;
use crate::error::EngineError;
use crate::manifest::Manifest;

/// Every regular file below a folder of the cache: relative name → path, sorted by name. Anything
/// else is not the cache's.
pub(crate) fn files_below(folder: &Path) -> Result<BTreeMap<String, PathBuf>, EngineError> {
    let mut files = BTreeMap::new();
    let mut left = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = left.pop() {
        let failed = |e| EngineError::io("read", &folder, e);
        for entry in fs_err::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                left.push((format!("{name}/"), entry.path()));
            } else if kind.is_file() {
                files.insert(name, entry.path());
            }
        }
    }
    Ok(files)
}

/// (name with its shard, path) of every finished file in a sharded folder, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, EngineError> {
    Ok(files_below(folder)?
        .into_iter()
        .filter(|(name, _)| !is_unfinished(name))
        .map(|(name, path)| (name.replace('/', ""), path))
        .collect())
}

/// Every manifest with its file; none where the file can't be understood.
pub(super) fn manifests(cache: &Cache) -> Result<Vec<(PathBuf, Option<Manifest>)>, EngineError> {
    let files = entries(cache.actions.folder())?.into_iter();
    Ok(files
        .filter(|(name, _)| !name.ends_with(".action.json"))
        .map(|(name, path)| {
            let manifest = key_of(&name).and_then(|key| cache.actions.lookup(key));
            (path, manifest)
        })
        .collect())
}

/// What a small file occupies on most disks.
pub(super) const BLOCK: u64 = 4096;

/// Every manifest that can be understood, with its key and the bytes that its records occupy.
pub(super) fn manifests_by_key(
    cache: &Cache,
) -> Result<Vec<(ActionKey, Manifest, u64)>, EngineError> {
    let mut sizes: BTreeMap<ActionKey, u64> = BTreeMap::new();
    for (name, path) in entries(cache.actions.folder())? {
        if let Some(key) = key_of(&name) {
            let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
            *sizes.entry(key).or_default() += size.next_multiple_of(BLOCK);
        }
    }
    let sizes = sizes.into_iter();
    Ok(sizes
        .filter_map(|(key, size)| Some((key, cache.actions.lookup(key)?, size)))
        .collect())
}

/// The key that a record's file is named by.
pub(super) fn key_of(name: &str) -> Option<ActionKey> {
    let hex = name
        .strip_suffix(".action.json")
        .or_else(|| name.strip_suffix(".json"))?;
    hex.parse().ok().map(ActionKey)
}

/// Whether a killed run was still writing this file.
pub(super) fn is_unfinished(name: &str) -> bool {
    let own = name.rsplit('/').next().unwrap_or(name);
    own.starts_with(UNFINISHED)
}
