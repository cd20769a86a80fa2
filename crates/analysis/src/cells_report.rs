//! The cells as files: Parquet and CSV for programs, Markdown and LaTeX for people.

use std::collections::BTreeSet;

use cpipe_data::observations::Observation;
use cpipe_engine::OutputDir;

use crate::error::AnalysisError;
use crate::table;
use crate::text_table::TextTable;

/// What [`write`] makes.
pub(crate) const NAMES: [&str; 4] = ["cells.parquet", "cells.csv", "cells.md", "cells.tex"];

/// Writes the four files.
pub(crate) fn write(rows: &[Observation], outputs: &OutputDir) -> Result<(), AnalysisError> {
    let [parquet, csv, markdown, latex] = NAMES.map(|name| outputs.path(name));
    table::write_cells(rows, &parquet, &csv)?;
    let tables = text_tables(rows);
    let texts = |show: fn(&TextTable) -> String| tables.iter().map(show).collect::<Vec<_>>();
    for (path, texts) in [
        (markdown, texts(TextTable::markdown)),
        (latex, texts(TextTable::latex)),
    ] {
        std::fs::write(&path, texts.join("\n")).map_err(|e| AnalysisError::io(&path, e))?;
    }
    Ok(())
}

/// A table for each protocol, in the order of the rows.
fn text_tables(rows: &[Observation]) -> Vec<TextTable> {
    let mut protocols: Vec<&str> = Vec::new();
    for row in rows {
        if !protocols.contains(&row.protocol.as_str()) {
            protocols.push(&row.protocol);
        }
    }
    let steps: BTreeSet<u64> = rows.iter().map(|r| r.step).collect();
    let of_protocol = |protocol: &str| -> Vec<&Observation> {
        rows.iter().filter(|r| r.protocol == protocol).collect()
    };
    protocols
        .iter()
        .map(|protocol| text_table(protocol, &of_protocol(protocol), &steps))
        .collect()
}

/// Models by rows, steps by columns.
fn text_table(protocol: &str, rows: &[&Observation], steps: &BTreeSet<u64>) -> TextTable {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for row in rows {
        let name = format!("{} {}", row.modality, row.model);
        if lines.last().is_none_or(|line| line[0] != name) {
            lines.push(vec![name, row.params_non_embedding.to_string()]);
        }
        if let Some(line) = lines.last_mut() {
            line.push(ratio(row));
        }
    }
    let chunks = rows.first().map_or(0, |row| row.chunks);
    let spread = if rows.iter().any(|row| row.cr_lo.is_finite()) {
        "average ± half the 95 % bootstrap interval over chunks"
    } else {
        "mean as printed; the source gives no interval"
    };
    let header = ["cell".to_owned(), "P non-embedding".to_owned()];
    TextTable {
        title: format!(
            "Compression ratio by training step, protocol {protocol}, {chunks} chunks a cell: {spread}"
        ),
        header: header
            .into_iter()
            .chain(steps.iter().map(u64::to_string))
            .collect(),
        rows: lines,
    }
}

fn ratio(row: &Observation) -> String {
    let half = (row.cr_hi - row.cr_lo) / 2.0;
    match (row.cr.is_finite(), half.is_finite()) {
        (true, true) => format!("{:.4} ± {half:.4}", row.cr),
        (true, false) => row.cr.to_string(),
        (false, _) => "–".to_owned(),
    }
}
