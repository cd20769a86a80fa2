//! An exported CSV file as a table.

use super::number;

/// Rows that are shown of one table at most; the file beside the report has all of them.
const MOST_ROWS: usize = 2000;

/// Columns of labels, also where every label looks like a number.
const LABELS: [&str; 3] = ["model", "modality", "protocol"];

/// A table as it is shown.
pub(super) struct Table {
    /// Where it lies below the outputs of the profile.
    pub(super) path: String,
    /// Label of the node that made it.
    pub(super) node: String,
    pub(super) columns: Vec<Column>,
    /// Cells as they stand in the file, one for each column.
    pub(super) rows: Vec<Vec<String>>,
    /// Columns of the file that hold no value at all.
    pub(super) left_out: Vec<String>,
    /// Rows of the file.
    pub(super) total: usize,
    /// The file itself.
    pub(super) csv: Vec<u8>,
}

/// A column that is shown.
pub(super) struct Column {
    pub(super) name: String,
    /// Whether every value in it is a number. Labels keep the text that the user wrote: `3.10`.
    pub(super) numeric: bool,
}

impl Table {
    /// Reads a CSV file with a header.
    pub(super) fn read(path: &str, node: &str, csv: Vec<u8>) -> Result<Self, csv::Error> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(csv.as_slice());
        let text = |record: &csv::ByteRecord| -> Vec<String> {
            let cells = record.iter();
            cells
                .map(|c| String::from_utf8_lossy(c).into_owned())
                .collect()
        };
        let names = text(reader.byte_headers()?);
        let mut rows = Vec::new();
        let mut total = 0;
        for record in reader.byte_records() {
            let mut row = text(&record?);
            total += 1;
            if total <= MOST_ROWS {
                row.resize(names.len(), String::new());
                rows.push(row);
            }
        }
        let filled: Vec<bool> = (0..names.len())
            .map(|at| rows.is_empty() || rows.iter().any(|row| !number::is_blank(&row[at])))
            .collect();
        let left_out = keep(&names, &filled, false);
        let rows: Vec<Vec<String>> = rows.iter().map(|row| keep(row, &filled, true)).collect();
        let columns = keep(&names, &filled, true).into_iter().enumerate();
        let columns = columns
            .map(|(at, name)| Column {
                numeric: !LABELS.contains(&name.as_str()) && is_numeric(&rows, at),
                name,
            })
            .collect();
        Ok(Self {
            path: path.to_owned(),
            node: node.to_owned(),
            columns,
            rows,
            left_out,
            total,
            csv,
        })
    }

    /// The file's name without folder and ending.
    pub(super) fn stem(&self) -> &str {
        stem(&self.path)
    }

    /// What stands in a column of this name, each value once, in the order of the rows.
    pub(super) fn values(&self, column: &str) -> Vec<&str> {
        let Some(at) = self.columns.iter().position(|c| c.name == column) else {
            return Vec::new();
        };
        let mut values = Vec::new();
        for row in &self.rows {
            if !values.contains(&row[at].as_str()) {
                values.push(&row[at]);
            }
        }
        values
    }
}

/// A path's file name without its ending.
pub(super) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A path's ending without its point; nothing for a name without one.
pub(super) fn ending(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn keep(cells: &[String], filled: &[bool], wanted: bool) -> Vec<String> {
    let kept = cells.iter().zip(filled);
    kept.filter(|(_, filled)| **filled == wanted)
        .map(|(cell, _)| cell.clone())
        .collect()
}

fn is_numeric(rows: &[Vec<String>], at: usize) -> bool {
    let mut cells = rows.iter().map(|row| row[at].as_str());
    !rows.is_empty() && cells.all(|cell| number::is_blank(cell) || cell.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_values_are_left_out_and_numbers_are_told_from_texts() {
        let csv = b"model,cr,nan\nsmall,0.5,NaN\n\"a,b\",,\n".to_vec();
        let table = Table::read("figures/cells.csv", "aggregate", csv).unwrap();
        assert_eq!(table.stem(), "cells");
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|c| (c.name.as_str(), c.numeric))
            .collect();
        assert_eq!(columns, [("model", false), ("cr", true)]);
        assert_eq!(table.left_out, ["nan"]);
        assert_eq!(table.rows, [["small", "0.5"], ["a,b", ""]]);
        assert_eq!(table.values("model"), ["small", "a,b"]);
    }

    #[test]
    fn ragged_rows_and_bytes_that_are_no_text_are_shown_as_far_as_they_go() {
        let table = Table::read("x.csv", "x", b"a,b\n1\n\xff,2,3\n".to_vec()).unwrap();
        assert_eq!(table.rows, [["1", ""], ["\u{fffd}", "2"]]);
    }

    #[test]
    fn a_label_is_no_number() {
        let csv = b"model,cr\n3.10,0.25\n3.9,0.5\n".to_vec();
        let table = Table::read("cells.csv", "n", csv).unwrap();
        let numeric: Vec<bool> = table.columns.iter().map(|c| c.numeric).collect();
        assert_eq!(numeric, [false, true]);
    }
}
