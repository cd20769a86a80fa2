//! Plain data about a run, from the records of runs and the cache alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cpipe_data::claims::ClaimReport;
use cpipe_data::fit_report::FitReport;
use cpipe_engine::records::RunRecord;
use cpipe_engine::stage::OutputKind;
use cpipe_engine::{Digest, EngineError};
use petgraph::graph::NodeIndex;

use super::figure::Figure;
use super::made::{self, Made};
use super::stages::{self, Sources, Stage};
use super::stamp::Stamp;
use super::table::{Table, ending, stem};
use super::words;
use crate::error::{CliError, Kind};
use crate::session::Session;

/// All that a report shows.
pub(super) struct Report {
    pub(super) stamp: Stamp,
    pub(super) title: String,
    pub(super) name: String,
    pub(super) profile: String,
    /// The study's own words, as HTML.
    pub(super) words: Option<String>,
    pub(super) run: RunRecord,
    /// Axis → its values, in the order of the matrix.
    pub(super) axes: Vec<(String, Vec<String>)>,
    pub(super) fits: Option<FitReport>,
    pub(super) claims: Option<ClaimReport>,
    pub(super) tables: Vec<Table>,
    pub(super) figures: Vec<Figure>,
    pub(super) stages: Vec<Stage>,
    /// Pairs of places in `stages`: what is needed, what needs it.
    pub(super) edges: BTreeSet<(usize, usize)>,
    pub(super) products: Vec<Product>,
    pub(super) sources: Sources,
    /// The commands that make all this again.
    pub(super) commands: Vec<String>,
}

/// A node whose outputs are exported, and what they rest on.
pub(super) struct Product {
    pub(super) node: String,
    /// Place of its stage in [`Report::stages`].
    pub(super) stage: usize,
    pub(super) key: String,
    pub(super) version: u32,
    pub(super) files: Vec<ProductFile>,
    /// Stages that it rests on, nearest first, with how many nodes of each.
    pub(super) chain: Vec<(usize, usize)>,
    /// Places in [`Report::sources`].
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

/// Collects what the report on the latest fitting run shows.
pub(super) fn gather(session: &Session) -> Result<Report, CliError> {
    let pipeline = &session.pipeline;
    let made = Made::find(session)?;
    let asked = pipeline.report.clone().unwrap_or_default();
    let (stages, places, edges) = stages::stages(session, &made);
    let sources = Sources::of(session, &made);
    let products = products(session, &made, &places, &sources)?;
    let files = Files {
        session,
        products: &products,
    };
    let name = pipeline
        .name
        .clone()
        .unwrap_or_else(|| "pipeline".to_owned());
    let sets = &made.run.info.overrides;
    Ok(Report {
        stamp: Stamp::of(session, made.table),
        title: asked.title.clone().unwrap_or_else(|| name.clone()),
        name,
        profile: session.profile(),
        words: asked.text.as_deref().map(words::render),
        axes: axes(session),
        fits: files.named("fits.json", |path| FitReport::read(path).ok())?,
        claims: files.named("claims.json", |path| ClaimReport::read(path).ok())?,
        tables: files.tables(asked.tables.as_deref())?,
        figures: files.figures(asked.figures.as_deref())?,
        commands: vec![
            made::command(session, "run", sets),
            made::command(session, "report", sets),
        ],
        run: made.run,
        stages,
        edges,
        products,
        sources,
    })
}

/// The values that nodes have on each axis.
fn axes(session: &Session) -> Vec<(String, Vec<String>)> {
    let mut axes: Vec<(String, Vec<String>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for node in session.pipeline.graph.dag.node_weights() {
        for (axis, value) in &node.cell.0 {
            if !seen.insert((axis, value)) {
                continue;
            }
            match axes.iter_mut().find(|(name, _)| name == axis) {
                Some((_, values)) => values.push(value.clone()),
                None => axes.push((axis.clone(), vec![value.clone()])),
            }
        }
    }
    axes
}

fn products(
    session: &Session,
    made: &Made,
    places: &BTreeMap<NodeIndex, usize>,
    sources: &Sources,
) -> Result<Vec<Product>, CliError> {
    let graph = &session.pipeline.graph;
    let mut products = Vec::new();
    for (index, node) in &made.nodes {
        let exports = graph.dag[*index].exports();
        if exports.is_empty() {
            continue;
        }
        let mut files = Vec::new();
        for (path, output) in exports {
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
        let above = graph.ancestors(&[*index]);
        products.push(Product {
            node: graph.dag[*index].label().to_owned(),
            stage: places[index],
            key: node.key.to_string(),
            version: node.action.stage.version,
            files,
            chain: chain(&above, *index, places),
            sources: sources.below(&above),
        });
    }
    Ok(products)
}

fn folder(session: &Session, path: &str, digest: Digest) -> Result<Vec<ProductFile>, CliError> {
    let listing = session.cache.blobs.listing(digest)?;
    let file = |(name, digest): (String, Digest)| ProductFile {
        path: format!("{path}/{name}"),
        digest,
        size: None,
    };
    Ok(listing.0.into_iter().map(file).collect())
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

/// The exported files, to be read from the cache.
struct Files<'f> {
    session: &'f Session,
    products: &'f [Product],
}

impl Files<'_> {
    /// Every exported file with the label of its node.
    fn all(&self) -> impl Iterator<Item = (&str, &ProductFile)> {
        self.products.iter().flat_map(|product| {
            product
                .files
                .iter()
                .map(|file| (product.node.as_str(), file))
        })
    }

    fn bytes(&self, file: &ProductFile) -> Result<Vec<u8>, CliError> {
        let path = self.blob(file)?;
        Ok(std::fs::read(&path).map_err(|e| EngineError::io("read", &path, e))?)
    }

    fn blob(&self, file: &ProductFile) -> Result<std::path::PathBuf, CliError> {
        self.session
            .cache
            .blobs
            .verified(file.digest)
            .map_err(|error| {
                let message = format!("the report cannot show {}: {error}", file.path);
                let hint = format!(
                    "`{}` makes it again",
                    made::command(self.session, "run", &[])
                );
                CliError::new(Kind::Cache, &message, Some(&hint))
            })
    }

    /// The first file of this name that can be read as what it is called.
    fn named<T>(
        &self,
        name: &str,
        read: impl Fn(&Path) -> Option<T>,
    ) -> Result<Option<T>, CliError> {
        for (_, file) in self.all() {
            if file.path.rsplit('/').next() == Some(name)
                && let Some(found) = read(&self.blob(file)?)
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn tables(&self, asked: Option<&[String]>) -> Result<Vec<Table>, CliError> {
        let mut tables = Vec::new();
        for (node, file) in self.chosen(asked, "table", &["csv"])? {
            let table = Table::read(&file.path, node, self.bytes(file)?).map_err(|error| {
                let message = format!("the report cannot show {}: {error}", file.path);
                let hint = "leave it out under `report: { tables: […] }`";
                CliError::new(Kind::Spec, &message, Some(hint))
            })?;
            tables.push(table);
        }
        Ok(tables)
    }

    fn figures(&self, asked: Option<&[String]>) -> Result<Vec<Figure>, CliError> {
        let mut chosen = self.chosen(asked, "figure", &["svg", "png"])?;
        if asked.is_none() {
            // A figure in both formats is shown once, as the drawing.
            let drawn: BTreeSet<String> = chosen
                .iter()
                .filter_map(|(_, file)| file.path.strip_suffix(".svg").map(str::to_owned))
                .collect();
            chosen.retain(|(_, file)| {
                file.path
                    .strip_suffix(".png")
                    .is_none_or(|path| !drawn.contains(path))
            });
        }
        let mut figures = Vec::new();
        for (at, (node, file)) in chosen.into_iter().enumerate() {
            let id = format!("f{}", at + 1);
            let mut figure = Figure::read(&file.path, node, &id, &self.bytes(file)?);
            figure.others = self.others(&file.path);
            figures.push(figure);
        }
        Ok(figures)
    }

    /// The same figure in other formats.
    fn others(&self, path: &str) -> Vec<String> {
        let folder = path.rsplit_once('/').map(|(folder, _)| folder);
        self.all()
            .map(|(_, file)| &file.path)
            .filter(|other| stem(other) == stem(path) && other.as_str() != path)
            .filter(|other| other.rsplit_once('/').map(|(folder, _)| folder) == folder)
            .cloned()
            .collect()
    }

    /// The files that are asked for, in that order, or all with one of these endings.
    fn chosen(
        &self,
        asked: Option<&[String]>,
        what: &str,
        endings: &[&str],
    ) -> Result<Vec<(&str, &ProductFile)>, CliError> {
        let fits = |path: &str| endings.contains(&ending(path));
        let Some(asked) = asked else {
            return Ok(self.all().filter(|(_, file)| fits(&file.path)).collect());
        };
        let refuse = |message: String| {
            let hint = format!(
                "a {what} of the report is an exported .{}",
                endings.join(" or .")
            );
            CliError::new(Kind::Spec, &message, Some(&hint))
        };
        let mut chosen = Vec::new();
        for path in asked {
            if !fits(path) {
                return Err(refuse(format!("`{path}` cannot be shown as a {what}")));
            }
            let found = self.all().find(|(_, file)| &file.path == path);
            chosen.push(found.ok_or_else(|| refuse(format!("no stage made `{path}`")))?);
        }
        Ok(chosen)
    }
}
