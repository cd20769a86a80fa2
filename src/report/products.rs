//! What is exported, and what it rests on.

use std::collections::BTreeMap;

use cpipe_engine::Digest;
use cpipe_engine::stage::OutputKind;
use petgraph::graph::NodeIndex;

use super::made::{Made, MadeNode};
use super::stages::Sources;
use crate::error::CliError;
use crate::session::Session;

/// A node whose outputs are exported, and what they rest on.
pub(super) struct Product {
    pub(super) node: String,
    /// Place of its stage in [`super::gather::Report::stages`].
    pub(super) stage: usize,
    pub(super) key: String,
    pub(super) version: u32,
    pub(super) files: Vec<ProductFile>,
    /// Stages that it rests on, nearest first, with how many nodes of each.
    pub(super) chain: Vec<(usize, usize)>,
    /// Places in [`super::gather::Report::sources`].
    pub(super) sources: Vec<usize>,
}

/// An exported file.
pub(super) struct ProductFile {
    /// Below the outputs of the profile.
    pub(super) path: String,
    pub(super) digest: Digest,
    /// Bytes; of a file in a folder that is not known.
    pub(super) size: Option<u64>,
}

/// Every node that exports something, in the order of the graph; `places` are those of the stages.
pub(super) fn products(
    session: &Session,
    made: &Made,
    places: &BTreeMap<NodeIndex, usize>,
    sources: &Sources,
) -> Result<Vec<Product>, CliError> {
    let graph = &session.pipeline.graph;
    let mut products = Vec::new();
    for (index, node) in &made.nodes {
        if graph.dag[*index].export.is_none() {
            continue;
        }
        let above = graph.ancestors(&[*index]);
        products.push(Product {
            node: graph.dag[*index].label().to_owned(),
            stage: places[index],
            key: node.key.to_string(),
            version: node.action.stage.version,
            files: files(session, *index, node)?,
            chain: chain(&above, *index, places),
            sources: sources.below(&above),
        });
    }
    Ok(products)
}

fn files(
    session: &Session,
    index: NodeIndex,
    node: &MadeNode,
) -> Result<Vec<ProductFile>, CliError> {
    let mut files = Vec::new();
    for (path, output) in session.pipeline.graph.dag[index].exports() {
        let Some(artifact) = node.manifest.outputs.get(&output.name) else {
            continue;
        };
        match artifact.kind {
            OutputKind::File => files.push(ProductFile {
                path,
                digest: artifact.digest,
                size: Some(artifact.size),
            }),
            OutputKind::Dir => files.extend(folder(session, &path, artifact.digest)?),
        }
    }
    Ok(files)
}

fn folder(session: &Session, path: &str, digest: Digest) -> Result<Vec<ProductFile>, CliError> {
    let listing = session.cache.blobs.listing(digest)?;
    let file = |(name, digest): (String, &Digest)| ProductFile {
        path: format!("{path}/{name}"),
        digest: *digest,
        size: None,
    };
    Ok(listing.files().into_iter().map(file).collect())
}

/// Stages above a node with the number of their nodes, the nearest first.
fn chain(
    above: &[NodeIndex],
    node: NodeIndex,
    places: &BTreeMap<NodeIndex, usize>,
) -> Vec<(usize, usize)> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for index in above.iter().filter(|index| **index != node) {
        *counts.entry(places[index]).or_default() += 1;
    }
    counts.into_iter().rev().collect()
}
