//! CSV files of texts, with the line of every row for messages.

use std::path::Path;

use crate::error::AnalysisError;

/// A CSV file with a header.
pub(crate) struct CsvFile {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// A row and the line that it starts in, counted from 1.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) fields: Vec<String>,
}

impl CsvFile {
    /// Reads `path`; spaces around fields are dropped, and every row has the header's length.
    pub(crate) fn read(path: &Path) -> Result<Self, AnalysisError> {
        let file = std::fs::File::open(path).map_err(|e| AnalysisError::io(path, e))?;
        let wrong = |e: csv::Error| AnalysisError::Csv(e.to_string());
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(file);
        let texts =
            |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
        let header = texts(reader.headers().map_err(wrong)?);
        let row = |record: csv::Result<csv::StringRecord>| -> Result<Row, AnalysisError> {
            let record = record.map_err(wrong)?;
            let line = record.position().map_or(0, csv::Position::line);
            let fields = texts(&record);
            Ok(Row { line, fields })
        };
        let rows = reader
            .records()
            .map(row)
            .collect::<Result<_, AnalysisError>>()?;
        Ok(Self { header, rows })
    }

    /// Where the column called `name` is.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }
}
