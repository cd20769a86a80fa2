//! Taking what a stage has written into the cache, and refusing by name what cannot be stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cache::{Cache, Sync};
use crate::digest::Algorithm;
use crate::error::EngineError;
use crate::graph::Node;
use crate::manifest::Artifact;
use crate::stage::{OutputKind, OutputSpec, Report};
use crate::stop::Stop;
use crate::tree::{self, Fault, Links, Tree};

/// Files of a folder that are each made durable by themselves; of more, the file system is, once.
const SYNCED_ONE_BY_ONE: usize = 16;

/// Moves every declared output into the blob store.
pub(crate) fn collect(
    cache: &Cache,
    node: &Node,
    folder: &Path,
    report: &Report,
    cancel: &AtomicBool,
) -> Result<BTreeMap<String, Artifact>, Stop> {
    let mut artifacts = BTreeMap::new();
    for output in node.work.outputs() {
        let artifact = collect_output(cache, &output, folder, report, cancel)?;
        artifacts.insert(output.name, artifact);
    }
    Ok(artifacts)
}

/// Names an entry as the program did, from its working folder on.
fn as_named(error: EngineError, folder: &Path) -> EngineError {
    match error {
        EngineError::Entry { path, fault } => {
            let name = path.strip_prefix(folder).unwrap_or(&path);
            EngineError::entry(name, fault)
        }
        other => other,
    }
}

fn collect_output(
    cache: &Cache,
    output: &OutputSpec,
    folder: &Path,
    report: &Report,
    cancel: &AtomicBool,
) -> Result<Artifact, Stop> {
    let name = &output.name;
    let named = |error| as_named(error, folder);
    let missing = || Stop::Failed(format!("it did not write its output `{name}`"), None);
    let mut path = folder.to_owned();
    let mut meta = None;
    for part in Path::new(name) {
        path.push(part);
        let found = std::fs::symlink_metadata(&path).map_err(|_| missing())?;
        if found.is_symlink() {
            return Err(EngineError::entry(Path::new(name), Fault::Linked).into());
        }
        meta = Some(found);
    }
    let meta = meta.ok_or_else(missing)?;
    match output.kind {
        OutputKind::Dir if meta.is_dir() => {
            let tree = tree::walk(&path, Links::OfOutput).map_err(named)?;
            collect_folder(cache, name, &tree, report, cancel)
        }
        OutputKind::File if !meta.is_dir() => {
            let known = report.digests.get(name).copied();
            let (digest, size) = cache.blobs.take(&path, known, Sync::Now).map_err(named)?;
            Ok(Artifact {
                kind: OutputKind::File,
                digest,
                size,
                executable: tree::is_executable(&meta),
            })
        }
        kind => Err(Stop::Failed(other_kind(name, kind), None)),
    }
}

fn other_kind(name: &str, declared: OutputKind) -> String {
    let (declared, made, spelling) = match declared {
        OutputKind::File => ("a file", "a folder", format!("{name}/")),
        OutputKind::Dir => ("a folder", "something else", name.to_owned()),
    };
    format!(
        "its output `{name}` is declared as {declared}, but it made {made}; `{spelling}` would declare it"
    )
}

fn collect_folder(
    cache: &Cache,
    output: &str,
    tree: &Tree<PathBuf>,
    report: &Report,
    cancel: &AtomicBool,
) -> Result<Artifact, Stop> {
    let mut total = 0;
    let sync = if tree.0.len() > SYNCED_ONE_BY_ONE {
        Sync::Later
    } else {
        Sync::Now
    };
    let listing = tree.try_map(|name, file| {
        let known = report.digests.get(&format!("{output}/{name}")).copied();
        if cancel.load(Ordering::Relaxed) {
            return Err(Stop::Cancelled);
        }
        let (digest, size) = cache.blobs.take(file, known, sync)?;
        total += size;
        Ok::<_, Stop>(digest)
    })?;
    if sync == Sync::Later {
        cache.blobs.sync()?;
    }
    let text = listing.to_text(Algorithm::Blake3);
    Ok(Artifact {
        kind: OutputKind::Dir,
        digest: cache.blobs.put(text.as_bytes())?,
        size: total,
        executable: false,
    })
}
