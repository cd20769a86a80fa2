//! Scores: one row per chunk and protocol, as Parquet, and the facts about the model beside them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::RowAccessor;
use parquet::schema::parser::parse_message_type;
use serde::{Deserialize, Serialize};

use crate::FormatError;

const FORMAT: &str = "scores";
const SCHEMA: &str = "message scores {
    required binary protocol (UTF8);
    required int64 chunk;
    required int64 tokens;
    required int64 tokens_scored;
    required int64 raw_bytes;
    required int64 bytes_covered;
    required int64 context_min;
    required double context_mean;
    required double bits;
    required double bits_first;
    required double side_bits;
    required double compressed_bits;
    required double raw_bits;
    required double cr;
    required int64 floored;
    required int64 nan;
    required boolean dropped;
    required boolean pooled;
}";

/// What one protocol says of one chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkScore {
    /// Name of the protocol, such as `paper`.
    pub protocol: String,
    /// Index of the chunk in its chunk set.
    pub chunk: u64,
    /// Tokens that the chunk has.
    pub tokens: u64,
    /// Tokens whose code length was counted.
    pub tokens_scored: u64,
    /// Raw bytes of the chunk.
    pub raw_bytes: u64,
    /// Raw bytes that the scored tokens cover.
    pub bytes_covered: u64,
    /// Fewest ids that a scored token had before it in its window, end-of-text included.
    pub context_min: u64,
    /// Mean of the ids that the scored tokens had before them.
    pub context_mean: f64,
    /// Σ -log2 p over the scored tokens, in bits.
    pub bits: f64,
    /// Bits of the chunk's first token; 0 where it is free.
    pub bits_first: f64,
    /// Bits paid for what the text does not hold (the lost high bits).
    pub side_bits: f64,
    /// Numerator of the ratio, in bits.
    pub compressed_bits: f64,
    /// Denominator of the ratio, in bits.
    pub raw_bits: f64,
    /// `compressed_bits / raw_bits`.
    pub cr: f64,
    /// Tokens whose probability was raised to the protocol's floor.
    pub floored: u64,
    /// Tokens whose log-probability was not a number.
    pub nan: u64,
    /// Whether the protocol leaves this chunk out of its mean.
    pub dropped: bool,
    /// Whether the protocol's ratio of a cell is Σ compressed / Σ raw instead of the mean of `cr`.
    pub pooled: bool,
}

/// What a score needs to be compared: the model that was loaded and how it was computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// `architectures[0]` of config.json.
    pub architecture: String,
    /// Elements of all weight tensors that the model uses.
    pub params_total: u64,
    /// `params_total` without the input and output embedding matrices.
    pub params_non_embedding: u64,
    /// Positions that the model was built for.
    pub context: u64,
    /// Rows of the output matrix.
    pub vocabulary: u64,
    /// Dtype of the computation, such as `f32`.
    pub dtype: String,
}

/// Writes `scores.parquet`.
pub fn write(path: &Path, rows: &[ChunkScore]) -> Result<(), FormatError> {
    let file = File::create(path).map_err(|e| FormatError::io(path, e))?;
    write_rows(file, rows).map_err(|e| FormatError::malformed(path, FORMAT, e.to_string()))
}

fn write_rows(file: File, rows: &[ChunkScore]) -> parquet::errors::Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder()
        .set_created_by("cpipe".into())
        .build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(w) => {
                let values: Vec<ByteArray> =
                    rows.iter().map(|r| r.protocol.as_str().into()).collect();
                w.write_batch(&values, None, None)?;
            }
            ColumnWriter::Int64ColumnWriter(w) => {
                let values: Vec<i64> = rows.iter().map(|r| integer(r, index)).collect();
                w.write_batch(&values, None, None)?;
            }
            ColumnWriter::DoubleColumnWriter(w) => {
                let values: Vec<f64> = rows.iter().map(|r| real(r, index)).collect();
                w.write_batch(&values, None, None)?;
            }
            ColumnWriter::BoolColumnWriter(w) => {
                let values: Vec<bool> = rows.iter().map(|r| flag(r, index)).collect();
                w.write_batch(&values, None, None)?;
            }
            _ => unreachable!("the schema has no other physical type"),
        }
        column.close()?;
        index += 1;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

fn integer(row: &ChunkScore, column: usize) -> i64 {
    let value = match column {
        1 => row.chunk,
        2 => row.tokens,
        3 => row.tokens_scored,
        4 => row.raw_bytes,
        5 => row.bytes_covered,
        6 => row.context_min,
        14 => row.floored,
        15 => row.nan,
        _ => unreachable!("not an integer column of the schema"),
    };
    value as i64
}

fn real(row: &ChunkScore, column: usize) -> f64 {
    match column {
        7 => row.context_mean,
        8 => row.bits,
        9 => row.bits_first,
        10 => row.side_bits,
        11 => row.compressed_bits,
        12 => row.raw_bits,
        13 => row.cr,
        _ => unreachable!("not a real column of the schema"),
    }
}

fn flag(row: &ChunkScore, column: usize) -> bool {
    match column {
        16 => row.dropped,
        17 => row.pooled,
        _ => unreachable!("not a flag column of the schema"),
    }
}

/// Reads `scores.parquet`.
pub fn read(path: &Path) -> Result<Vec<ChunkScore>, FormatError> {
    let file = File::open(path).map_err(|e| FormatError::io(path, e))?;
    read_rows(file).map_err(|e| FormatError::malformed(path, FORMAT, e.to_string()))
}

fn read_rows(file: File) -> parquet::errors::Result<Vec<ChunkScore>> {
    let reader = SerializedFileReader::new(file)?;
    let schema = parse_message_type(SCHEMA)?;
    reader
        .get_row_iter(Some(schema))?
        .map(|row| {
            let row = row?;
            Ok(ChunkScore {
                protocol: row.get_string(0)?.clone(),
                chunk: row.get_long(1)? as u64,
                tokens: row.get_long(2)? as u64,
                tokens_scored: row.get_long(3)? as u64,
                raw_bytes: row.get_long(4)? as u64,
                bytes_covered: row.get_long(5)? as u64,
                context_min: row.get_long(6)? as u64,
                context_mean: row.get_double(7)?,
                bits: row.get_double(8)?,
                bits_first: row.get_double(9)?,
                side_bits: row.get_double(10)?,
                compressed_bits: row.get_double(11)?,
                raw_bits: row.get_double(12)?,
                cr: row.get_double(13)?,
                floored: row.get_long(14)? as u64,
                nan: row.get_long(15)? as u64,
                dropped: row.get_bool(16)?,
                pooled: row.get_bool(17)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_alike() {
        let rows: Vec<ChunkScore> = (0..5)
            .map(|i| ChunkScore {
                protocol: if i % 2 == 0 { "paper" } else { "full" }.into(),
                chunk: i,
                tokens: 100 + i,
                tokens_scored: 99,
                raw_bytes: 2048,
                bytes_covered: 2000,
                context_min: 1,
                context_mean: 50.5,
                bits: 1.0 / 3.0,
                bits_first: 0.0,
                side_bits: 0.5,
                compressed_bits: 12.25,
                raw_bits: 16384.0,
                cr: 12.25 / 16384.0,
                floored: 1,
                nan: 0,
                dropped: i == 3,
                pooled: i % 2 == 0,
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.parquet"), dir.path().join("b.parquet"));
        write(&a, &rows).unwrap();
        write(&b, &rows).unwrap();
        assert_eq!(read(&a).unwrap(), rows);
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.parquet");
        std::fs::write(&path, b"not parquet at all").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("not a valid scores file"), "{error}");
    }
}
