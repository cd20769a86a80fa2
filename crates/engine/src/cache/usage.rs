use std::collections::{BTreeMap, BTreeSet};

use super::Cache;
use super::verify::artifact_blobs;
use super::walk::manifests;
use crate::digest::Digest;
use crate::error::EngineError;

/// What one stage occupies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageUsage {
    /// Results on record.
    pub results: usize,
    /// Bytes of the blobs that they name, each counted once.
    pub bytes: u64,
    /// Of these, bytes that no result of another stage names.
    pub own_bytes: u64,
}

/// What the cache occupies, by stage.
///
/// # Errors
/// When the cache can't be read.
pub fn usage(cache: &Cache) -> Result<BTreeMap<String, StageUsage>, EngineError> {
    let mut blobs: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
    let mut stages: BTreeMap<String, StageUsage> = BTreeMap::new();
    for (_, manifest) in manifests(cache)? {
        let Some(manifest) = manifest else { continue };
        let stage = manifest
            .execution
            .node
            .split('[')
            .next()
            .unwrap_or_default();
        stages.entry(stage.to_owned()).or_default().results += 1;
        let artifacts = manifest.outputs.values();
        let named = artifacts.flat_map(|artifact| artifact_blobs(&cache.blobs, artifact));
        blobs.entry(stage.to_owned()).or_default().extend(named);
    }
    let mut users: BTreeMap<Digest, usize> = BTreeMap::new();
    for digest in blobs.values().flatten() {
        *users.entry(*digest).or_default() += 1;
    }
    for (stage, digests) in &blobs {
        let usage = stages.entry(stage.clone()).or_default();
        for digest in digests {
            let size = std::fs::metadata(cache.blobs.path(*digest)).map_or(0, |meta| meta.len());
            usage.bytes += size;
            usage.own_bytes += if users[digest] == 1 { size } else { 0 };
        }
    }
    Ok(stages)
}
