//! Columns of CSV files.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use crate::chunk_params::Csv;
use crate::error::CorpusError;

/// The chosen fields of every record, each ended by a line feed.
pub(crate) fn fields(file: &str, path: &Path, wanted: &Csv) -> Result<Vec<u8>, CorpusError> {
    take(file, &crate::named::read(file, path)?, wanted)
}

fn take(file: &str, bytes: &[u8], wanted: &Csv) -> Result<Vec<u8>, CorpusError> {
    let failed = |e: csv::Error| CorpusError::undecodable(file, "CSV", e);
    let delimiter = wanted.delimiter as u8;
    let mut builder = ReaderBuilder::new();
    let mut reader = builder.delimiter(delimiter).from_reader(bytes);
    let header = reader.byte_headers().map_err(failed)?.clone();
    let places = wanted.columns.iter().map(|name| place(file, &header, name));
    let places: Vec<usize> = places.collect::<Result<_, _>>()?;
    let mut out = Vec::new();
    let mut last = (0, 1);
    for record in reader.byte_records() {
        let record = record.map_err(failed)?;
        last = record
            .position()
            .map_or(last, |p| (p.byte() as usize, p.line()));
        for place in &places {
            out.extend_from_slice(&record[*place]);
            out.push(b'\n');
        }
    }
    // An open quote takes in all that follows, so only the last record can have one.
    if ends_in_quotes(bytes.get(last.0..).unwrap_or_default(), delimiter) {
        let reason = format!(
            "the record at line {} opens a quote that is never closed",
            last.1
        );
        return Err(CorpusError::undecodable(file, "CSV", reason));
    }
    Ok(out)
}

/// Whether the end of a record is inside a quoted field.
fn ends_in_quotes(record: &[u8], delimiter: u8) -> bool {
    let (mut quoted, mut starts) = (false, true);
    for byte in record {
        if *byte == b'"' && (quoted || starts) {
            quoted = !quoted;
            // A second quote right behind the first is one that belongs to the field.
            starts = !quoted;
        } else {
            starts = !quoted && (*byte == delimiter || matches!(byte, b'\r' | b'\n'));
        }
    }
    quoted
}

fn place(file: &str, header: &ByteRecord, name: &str) -> Result<usize, CorpusError> {
    let found = header.iter().position(|column| column == name.as_bytes());
    found.ok_or_else(|| {
        let columns: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        CorpusError::NoColumn {
            file: file.to_owned(),
            column: name.to_owned(),
            columns: columns.join("`, `"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(columns: &[&str], delimiter: char) -> Csv {
        Csv {
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            delimiter,
        }
    }

    #[test]
    fn fields_come_in_the_order_asked_for() {
        let text = b"id,sequence,note\n1,MKV,\"a, b\"\n2,\xffLA,c\n";
        let found = take("a.csv", text, &wanted(&["note", "sequence"], ',')).unwrap();
        assert_eq!(found, b"a, b\nMKV\nc\n\xffLA\n");
        assert_eq!(
            take("a.csv", b"a;b\n1;2\n", &wanted(&["b"], ';')).unwrap(),
            b"2\n"
        );
    }

    #[test]
    fn a_column_that_is_not_there_and_a_short_record_are_told() {
        let error = take("a.csv", b"a,b\n1,2\n", &wanted(&["c"], ',')).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("`c`") && error.contains("`a`, `b`"),
            "{error}"
        );
        let error = take("a.csv", b"a,b\n1\n", &wanted(&["a"], ',')).unwrap_err();
        assert!(error.to_string().contains("line: 2"), "{error}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error_with_its_line() {
        let wanted = wanted(&["b"], ',');
        for text in ["a,b\n1,\"x", "a,b\n1,\"x\n2,y\n", "a,b\n1,\"x\"\"\n"] {
            let error = take("a.csv", text.as_bytes(), &wanted)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("`a.csv`") && error.contains("line 2"),
                "{error}"
            );
        }
        for (text, field) in [
            ("a,b\n1,\"x\"", "x\n"),
            ("a,b\n1,\"x\"\"\"\r\n", "x\"\n"),
            ("a,b\n1,5\" pipe\n", "5\" pipe\n"),
            ("a,b\n1,\"\"\n", "\n"),
        ] {
            let found = take("a.csv", text.as_bytes(), &wanted).unwrap();
            assert_eq!(found, field.as_bytes(), "{text}");
        }
    }
}
