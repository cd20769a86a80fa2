//! What the study is, in a few words and numbers.

use cpipe_data::claims::Status;
use maud::{Markup, html};

use super::gather::Report;
use super::number::{count, duration, things};
use super::table::Table;

/// Columns of a cells table that are axes of the study.
const AXES: [&str; 4] = ["model", "step", "modality", "protocol"];

/// A big number and what it counts.
struct Tile {
    number: String,
    what: String,
    more: String,
}

pub(super) fn headline(report: &Report) -> Markup {
    let tiles = tiles(report);
    let axes = axes(report);
    html! {
        header {
            p.eyebrow { (report.name) " · profile " (report.profile) }
            h1 { (report.title) }
            (run_line(report))
            @if !tiles.is_empty() {
                ul.tiles {
                    @for tile in &tiles {
                        li {
                            span.number { (tile.number) } " "
                            span.what { (tile.what) }
                            @if !tile.more.is_empty() { " " span.more { (tile.more) } }
                        }
                    }
                }
            }
            @if !axes.is_empty() {
                dl.axes {
                    @for (axis, values) in &axes {
                        div {
                            dt { (capital(&things(values.len(), axis))) }
                            dd { (listed(values)) }
                        }
                    }
                }
            }
        }
    }
}

fn run_line(report: &Report) -> Markup {
    let run = &report.run;
    html! {
        p.run {
            "Run " code { (run.id) }
            @if let Some(name) = &run.info.name { " (" (name) ")" }
            " of " (when(run.started)) " UTC: " b { (run.executed) " executed, " (run.cached) " from the cache" }
            ", " (duration(run.seconds)) " on " (count(run.jobs, "core")) ", cpipe " (run.version) ", " (run.platform) "."
        }
    }
}

fn when(seconds: u64) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0));
    time.unwrap_or_default()
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

fn tiles(report: &Report) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut add = |number: usize, thing: &str, more: String| {
        tiles.push(Tile {
            number: number.to_string(),
            what: things(number, thing),
            more,
        });
    };
    if let Some(cells) = cells(report) {
        let distinct = distinct(cells);
        let more = if distinct == cells.total {
            String::new()
        } else {
            format!("{} rows by protocol", cells.total)
        };
        add(distinct, "cell", more);
    }
    for (axis, values) in axes(report) {
        add(values.len(), &axis, String::new());
    }
    if let Some(fits) = report.fits.as_ref().filter(|fits| !fits.fits.is_empty()) {
        let least = fits.fits.iter().map(|fit| fit.r2).fold(1.0, f64::min);
        add(fits.fits.len(), "fit", format!("R² {least:.3} or more"));
    }
    if let Some(claims) = &report.claims {
        let of = |status| claims.claims.iter().filter(|c| c.status == status).count();
        let more = format!(
            "{} hold, {} fail, {} open",
            of(Status::Holds),
            of(Status::Fails),
            of(Status::CannotBeTold)
        );
        add(claims.claims.len(), "claim", more);
    }
    tiles
}

/// The table with a row for each measured cell.
fn cells(report: &Report) -> Option<&Table> {
    report.tables.iter().find(|table| table.stem() == "cells")
}

/// Cells without regard to protocols.
fn distinct(cells: &Table) -> usize {
    let places: Vec<usize> = AXES[..3]
        .iter()
        .filter_map(|axis| cells.columns.iter().position(|c| c.name == *axis))
        .collect();
    let rows = cells.rows.iter();
    let cell = |row: &Vec<String>| places.iter().map(|at| row[*at].clone()).collect::<Vec<_>>();
    rows.map(cell)
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

/// The axes of the matrix; those of the cells table where the matrix lacks them.
fn axes(report: &Report) -> Vec<(String, Vec<String>)> {
    let mut axes: Vec<(String, Vec<String>)> = Vec::new();
    if let Some(cells) = cells(report) {
        for axis in AXES {
            let values: Vec<String> = cells.values(axis).iter().map(|v| (*v).to_owned()).collect();
            if !values.is_empty() {
                axes.push((axis.to_owned(), values));
            }
        }
    }
    for (axis, values) in &report.axes {
        if axes.iter().all(|(name, _)| name != axis) {
            axes.push((axis.clone(), values.clone()));
        }
    }
    axes
}

/// The values of an axis; of a long one the first and how many more.
fn listed(values: &[String]) -> String {
    const SHOWN: usize = 12;
    let text = values[..values.len().min(SHOWN)].join(", ");
    match values.len().checked_sub(SHOWN) {
        None | Some(0) => text,
        Some(more) => format!("{text} and {more} more"),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
