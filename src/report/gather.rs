//! Plain data about a run, from the records of runs and the cache alone.

use std::collections::BTreeSet;

use cpipe_data::claims::ClaimReport;
use cpipe_data::fit_report::FitReport;
use cpipe_engine::records::RunRecord;

use super::figure::Figure;
use super::files::Files;
use super::made::{self, Made};
use super::products::{self, Product};
use super::stages::{self, Sources, Stage};
use super::stamp::Stamp;
use super::table::Table;
use super::words;
use crate::error::CliError;
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

/// Collects what the report on the latest fitting run shows.
pub(super) fn gather(session: &Session) -> Result<Report, CliError> {
    let pipeline = &session.pipeline;
    let made = Made::find(session)?;
    let asked = pipeline.report.clone().unwrap_or_default();
    let (stages, places, edges) = stages::stages(session, &made);
    let sources = Sources::of(session, &made);
    let products = products::products(session, &made, &places, &sources)?;
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
