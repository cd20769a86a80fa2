//! Tables that sort and copy.

use maud::{Markup, html};

use super::figure::data_address;
use super::gather::Report;
use super::number::{count, is_blank, shown};
use super::page::{Section, scroll};
use super::table::{Column, Table};

/// What stands around a table.
pub(super) struct Frame<'f> {
    /// Unique in the page.
    pub(super) id: &'f str,
    /// What it is called where it can only be heard.
    pub(super) name: &'f str,
    /// Its name when it is copied.
    pub(super) file: &'f str,
    /// Of each column its name, and whether it holds numbers.
    pub(super) head: Vec<(String, bool)>,
}

pub(super) fn section(report: &Report) -> Option<Section> {
    if report.tables.is_empty() {
        return None;
    }
    Some(Section {
        id: "tables",
        title: "Tables",
        body: html! {
            p {
                "Numbers are shown to four digits; sorting, TSV and CSV use the full ones. "
                "Every table also lies beside this file."
            }
            @for (at, table) in report.tables.iter().enumerate() {
                (exported(report, table, &id(at)))
            }
        },
    })
}

/// The anchor of a table.
pub(super) fn id(at: usize) -> String {
    format!("t{}", at + 1)
}

fn exported(report: &Report, table: &Table, id: &str) -> Markup {
    // What has a section of its own is here too, folded.
    let folded = table.stem() == "claims" && report.claims.is_some();
    let body = html! {
        (remarks(table))
        (grid(table, id))
    };
    html! {
        h3 #(id) { (title(table)) }
        @if let Some(words) = caption(table.stem()) { p { (words) } }
        p.links {
            (count(table.total, "row")) " · made by "
            a href={ "#" (super::provenance::anchor(report, &table.node)) } { (table.node) }
            " · "
            a href=(data_address("text/csv;charset=utf-8", &table.csv)) download={ (table.stem()) ".csv" } {
                "CSV" span.sr { " of " (table.path) }
            }
        }
        @if folded {
            details { summary { "The claims as in the file" } (body) }
        } @else {
            (body)
        }
    }
}

fn remarks(table: &Table) -> Markup {
    html! {
        @if table.rows.len() < table.total {
            p.remark { "The first " (table.rows.len()) " rows; the CSV has all." }
        }
        @if !table.left_out.is_empty() {
            p.remark { "Without a value in any row, and left out here: " (table.left_out.join(", ")) "." }
        }
    }
}

fn grid(table: &Table, id: &str) -> Markup {
    let columns = table.columns.iter();
    let frame = Frame {
        id: &format!("{id}-table"),
        name: title(table),
        file: table.stem(),
        head: columns.map(|c| (c.name.clone(), c.numeric)).collect(),
    };
    let rows = html! {
        @for row in &table.rows {
            tr {
                @for (at, (cell, column)) in row.iter().zip(&table.columns).enumerate() {
                    (one(cell, column, at == 0 && !column.numeric))
                }
            }
        }
    };
    framed(&frame, &rows)
}

/// One cell; the full value stands beside the one that is shown.
fn one(cell: &str, column: &Column, is_head: bool) -> Markup {
    if is_blank(cell) {
        return html! { td.n[column.numeric] data-v="" { "–" } };
    }
    if is_head {
        return html! { th scope="row" { (cell) } };
    }
    if !column.numeric {
        return html! { td.long[cell.len() > 40] { (cell) } };
    }
    let shown = shown(cell);
    let full = (shown != cell).then_some(cell);
    html! { td.n data-v=[full] { (shown) } }
}

/// A table that the script makes sortable and gives buttons to copy it.
pub(super) fn framed(frame: &Frame<'_>, rows: &Markup) -> Markup {
    let table = html! {
        table #(frame.id) data-file=(frame.file) {
            thead {
                tr {
                    @for (name, numeric) in &frame.head {
                        th.n[*numeric] scope="col" { (name) }
                    }
                }
            }
            tbody { (rows) }
        }
    };
    scroll(&format!("Table: {}", frame.name), table)
}

/// A table's heading.
fn title(table: &Table) -> &str {
    match table.stem() {
        "cells" => "Cells",
        "fits" => "Fits",
        "laws" => "Laws",
        "baselines" => "Baselines",
        "claims" => "Claims, as exported",
        _ => &table.path,
    }
}

/// What the tables of the built-in stages hold.
fn caption(stem: &str) -> Option<&'static str> {
    Some(match stem {
        "cells" => {
            "A row for each model, training step, modality and protocol. cr_mean is the mean over chunks of compressed bits per raw bit, cr_lo and cr_hi its 95 % interval."
        }
        "fits" => "The additive law for each modality, protocol and way of counting parameters.",
        "laws" => {
            "Every parameter of every law with its standard error and its intervals, by bootstrap and by profile likelihood; AICc and BIC compare laws of the same cells."
        }
        "baselines" => {
            "Classical compressors and simple models on the same chunks: each chunk by itself (cr_mean) and all of them as one file (cr_whole)."
        }
        _ => return None,
    })
}
