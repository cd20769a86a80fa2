//! Columns of CSV files.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use crate::chunk::Csv;
use crate::error::CorpusError;

/// The chosen fields of every record, each ended by a line feed.
pub(crate) fn fields(file: &str, path: &Path, wanted: &Csv) -> Result<Vec<u8>, CorpusError> {
    let bytes = fs_err::read(path).map_err(|e| CorpusError::io(path, e))?;
    take(&bytes, wanted).map_err(|reason| CorpusError::undecodable(file, "CSV", reason))
}

fn take(bytes: &[u8], wanted: &Csv) -> Result<Vec<u8>, String> {
    let mut builder = ReaderBuilder::new();
    let mut reader = builder.delimiter(wanted.delimiter as u8).from_reader(bytes);
    let header = reader.byte_headers().map_err(|e| e.to_string())?.clone();
    let places = wanted.columns.iter().map(|name| place(&header, name));
    let places: Vec<usize> = places.collect::<Result<_, _>>()?;
    let mut out = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(|e| e.to_string())?;
        for place in &places {
            out.extend_from_slice(&record[*place]);
            out.push(b'\n');
        }
    }
    Ok(out)
}

fn place(header: &ByteRecord, name: &str) -> Result<usize, String> {
    let found = header.iter().position(|column| column == name.as_bytes());
    found.ok_or_else(|| {
        let columns: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        format!("it has no column `{name}`, only {}", columns.join(", "))
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
        let found = take(text, &wanted(&["note", "sequence"], ',')).unwrap();
        assert_eq!(found, b"a, b\nMKV\nc\n\xffLA\n");
        assert_eq!(take(b"a;b\n1;2\n", &wanted(&["b"], ';')).unwrap(), b"2\n");
    }

    #[test]
    fn a_column_that_is_not_there_and_a_short_record_are_told() {
        let error = take(b"a,b\n1,2\n", &wanted(&["c"], ',')).unwrap_err();
        assert!(error.contains("`c`") && error.contains("a, b"), "{error}");
        let error = take(b"a,b\n1\n", &wanted(&["a"], ',')).unwrap_err();
        assert!(error.contains("line: 2"), "{error}");
    }
}
