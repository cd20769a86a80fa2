//! The report: one self-contained page about a run, `outputs/report.html`.
//!
//! It is no stage: it tells about a run, so it is no pure function of inputs. [`gather`] collects
//! plain data from the records of runs and the cache, and nothing else; the files that end in what
//! they draw turn it into HTML. Two reports of the same run are the same bytes. [`refresh`] leaves a
//! report alone that already tells of what is there.

mod claims;
mod figure;
mod figures;
mod files;
mod gather;
mod graph;
mod headline;
mod key_numbers;
mod layout;
mod made;
mod number;
mod page;
mod products;
mod provenance;
mod stages;
mod stamp;
mod svg;
mod table;
mod tables;
mod words;

use std::path::{Path, PathBuf};

use cpipe_engine::exports;
use cpipe_engine::run::Summary;
use cpipe_engine::spec::REPORT;

use crate::error::{CliError, Kind};
use crate::session::Session;
use stamp::Stamp;

/// Writes the report of the run that made what is up to date now. Returns where it lies.
pub(crate) fn write(session: &Session) -> Result<PathBuf, CliError> {
    let path = path(session);
    refuse_clash(session)?;
    let _in_use = session.cache.lock_shared()?;
    let report = gather::gather(session)?;
    let page = page::page(&report);
    for aside in exports::write_page(&session.workspace(), REPORT, page.as_bytes())? {
        say(&format!("an edited output was kept as {}", aside.display()));
    }
    Ok(path)
}

/// Writes the report at the end of a run, where the pipeline asks for one, all that it shows is up
/// to date, and the one that is there tells of something else.
pub(crate) fn refresh(session: &Session, summary: &Summary) -> Result<Option<PathBuf>, CliError> {
    if session.pipeline.report.is_none() {
        return Ok(None);
    }
    let is_current = summary.executed == 0
        && summary
            .table
            .is_some_and(|table| Stamp::of(session, table).is_on(&path(session)));
    if is_current {
        return Ok(None);
    }
    match write(session) {
        Ok(path) => Ok(Some(path)),
        // A run of a part of the pipeline may leave nothing whole to tell about.
        Err(error) if error.kind == Kind::Usage => Ok(None),
        Err(error) => Err(error),
    }
}

#[expect(clippy::print_stderr, reason = "talk, not data")]
fn say(line: &str) {
    eprintln!("warning: {line}");
}

/// Where the report of the profile lies.
fn path(session: &Session) -> PathBuf {
    session.workspace().outputs.join(REPORT)
}

/// A pipeline without `report:` may export a file of that name.
fn refuse_clash(session: &Session) -> Result<(), CliError> {
    let mut nodes = session.pipeline.graph.dag.node_weights();
    let clashes = |path: &str| Path::new(path).starts_with(REPORT);
    let owner = nodes.find(|node| node.exports().iter().any(|(path, _)| clashes(path)));
    let Some(owner) = owner else { return Ok(()) };
    let message = format!("{} exports to outputs/{REPORT}", owner.label());
    let hint = "give that output another name or folder, and the report has a place";
    Err(CliError::new(Kind::Spec, &message, Some(hint)))
}
