use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::walk::{entries, manifests};
use super::{BlobStore, Cache};
use crate::digest::{self, Digest};
use crate::error::EngineError;

/// Something in the cache that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// `node:output` of each result that it belongs to.
    pub used_by: Vec<String>,
}

/// What [`verify`] found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Blobs that were hashed.
    pub blobs: usize,
    /// Their size.
    pub bytes: u64,
    /// Blobs whose bytes are not what their name says.
    pub damaged: Vec<Damage>,
    /// Manifests that were read.
    pub manifests: usize,
    /// Manifests that can't be understood.
    pub unreadable: Vec<PathBuf>,
    /// `node:output` of results whose blobs are not all there: they are made again when needed.
    pub incomplete: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is damaged. Blobs that gc dropped are no damage.
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.unreadable.is_empty()
    }
}

/// Hashes every blob again and reads every manifest; with `repair` removes what is damaged.
///
/// # Errors
/// When the cache can't be read.
pub fn verify(cache: &Cache, repair: bool) -> Result<VerifyReport, EngineError> {
    let mut report = VerifyReport::default();
    let mut users: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for (path, manifest) in manifests(cache)? {
        report.manifests += 1;
        let Some(manifest) = manifest else {
            remove_if(repair, &path)?;
            report.unreadable.push(path);
            continue;
        };
        for (name, artifact) in &manifest.outputs {
            let user = format!("{}:{name}", manifest.execution.node);
            if !cache.blobs.contains_artifact(artifact) {
                report.incomplete.push(user.clone());
            }
            for digest in artifact_blobs(&cache.blobs, artifact) {
                users.entry(digest).or_default().push(user.clone());
            }
        }
    }
    for (name, path) in entries(cache.blobs.folder())? {
        let failed = |e| EngineError::io("read", &path, e);
        report.blobs += 1;
        report.bytes += fs_err::metadata(&path).map_err(failed)?.len();
        let expected: Option<Digest> = name.parse().ok();
        let found = digest::hash_file(&path).map_err(failed)?;
        if expected != Some(found) {
            remove_if(repair, &path)?;
            let used_by = expected.and_then(|digest| users.remove(&digest));
            report.damaged.push(Damage {
                path,
                used_by: used_by.unwrap_or_default(),
            });
        }
    }
    Ok(report)
}

/// The blobs of an artifact: the file, or the listing and every file in it.
pub(super) fn artifact_blobs(blobs: &BlobStore, artifact: &crate::Artifact) -> Vec<Digest> {
    let mut digests = vec![artifact.digest];
    if artifact.kind == crate::stage::OutputKind::Dir
        && let Ok(text) = std::fs::read_to_string(blobs.path(artifact.digest))
        && let Ok(listing) = crate::tree::Tree::parse(&text)
    {
        digests.extend(listing.contents());
    }
    digests
}

pub(super) fn remove_if(really: bool, path: &Path) -> Result<(), EngineError> {
    if really {
        fs_err::remove_file(path).map_err(|e| EngineError::io("remove", path, e))?;
    }
    Ok(())
}
