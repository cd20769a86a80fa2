//! Tables on disk: the only file that sees polars.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use cpipe_data::observations::Observation;
use cpipe_data::scores::ChunkScore;
use polars::prelude::*;
use serde_json::{Map, Value};

use crate::draws::{Draws, Kind};
use crate::error::AnalysisError;

/// What a Parquet table can be turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated values with a header.
    Csv,
    /// A JSON array of objects.
    Json,
}

/// A chunk's score with the cell that it belongs to.
pub(crate) struct ChunkRow<'r> {
    pub(crate) model: &'r str,
    pub(crate) step: u64,
    pub(crate) modality: &'r str,
    pub(crate) score: &'r ChunkScore,
}

macro_rules! columns {
    ($rows:expr; $($name:literal = $value:expr),+ $(,)?) => {
        vec![$(Column::new($name.into(), $rows.iter().map($value).collect::<Vec<_>>())),+]
    };
}

/// Writes `cells.parquet` and `cells.csv`.
pub fn write_cells(rows: &[Observation], parquet: &Path, csv: &Path) -> Result<(), AnalysisError> {
    let columns = columns![rows;
        "model" = |r| r.model.as_str(), "params_nominal" = |r| r.params_nominal,
        "params_total" = |r| r.params_total, "params_non_embedding" = |r| r.params_non_embedding,
        "step" = |r| r.step, "modality" = |r| r.modality.as_str(),
        "protocol" = |r| r.protocol.as_str(), "chunks" = |r| r.chunks,
        "cr" = |r| r.cr, "cr_mean" = |r| r.cr_mean, "cr_std" = |r| r.cr_std, "cr_sem" = |r| r.cr_sem,
        "cr_lo" = |r| r.cr_lo, "cr_hi" = |r| r.cr_hi, "cr_sum_ratio" = |r| r.cr_sum_ratio,
        "bits_per_byte" = |r| r.bits_per_byte, "side_bits" = |r| r.side_bits,
        "context_min" = |r| counted(r, r.context_min), "context_mean" = |r| r.context_mean,
        "tokens" = |r| counted(r, r.tokens),
        "tokens_scored" = |r| counted(r, r.tokens_scored), "dropped" = |r| counted(r, r.dropped),
        "nan" = |r| counted(r, r.nan), "floored" = |r| counted(r, r.floored),
    ];
    let mut frame = frame(columns, parquet)?;
    write_parquet(&mut frame, parquet)?;
    let file = File::create(csv).map_err(|e| AnalysisError::io(csv, e))?;
    CsvWriter::new(file)
        .finish(&mut frame)
        .map_err(|e| AnalysisError::table(csv, e))
}

/// A count, or nothing where the tokens were never counted.
fn counted(row: &Observation, count: u64) -> Option<u64> {
    (row.tokens > 0).then_some(count)
}

/// Writes `chunks.parquet`.
pub(crate) fn write_chunks(rows: &[ChunkRow<'_>], parquet: &Path) -> Result<(), AnalysisError> {
    let columns = columns![rows;
        "model" = |r| r.model, "step" = |r| r.step, "modality" = |r| r.modality,
        "protocol" = |r| r.score.protocol.as_str(), "chunk" = |r| r.score.chunk,
        "tokens" = |r| r.score.tokens, "tokens_scored" = |r| r.score.tokens_scored,
        "raw_bytes" = |r| r.score.raw_bytes, "bytes_covered" = |r| r.score.bytes_covered,
        "context_min" = |r| r.score.context_min, "context_mean" = |r| r.score.context_mean,
        "bits" = |r| r.score.bits, "bits_first" = |r| r.score.bits_first,
        "side_bits" = |r| r.score.side_bits, "compressed_bits" = |r| r.score.compressed_bits,
        "raw_bits" = |r| r.score.raw_bits, "cr" = |r| r.score.cr,
        "floored" = |r| r.score.floored, "nan" = |r| r.score.nan,
        "dropped" = |r| r.score.dropped, "pooled" = |r| r.score.pooled,
    ];
    write_parquet(&mut frame(columns, parquet)?, parquet)
}

fn frame(columns: Vec<Column>, path: &Path) -> Result<DataFrame, AnalysisError> {
    DataFrame::new_infer_height(columns).map_err(|e| AnalysisError::table(path, e))
}

fn write_parquet(frame: &mut DataFrame, path: &Path) -> Result<(), AnalysisError> {
    let file = File::create(path).map_err(|e| AnalysisError::io(path, e))?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Uncompressed)
        .finish(frame)
        .map(drop)
        .map_err(|e| AnalysisError::table(path, e))
}

fn read_parquet(path: &Path) -> Result<DataFrame, AnalysisError> {
    let file = File::open(path).map_err(|e| AnalysisError::io(path, e))?;
    ParquetReader::new(file)
        .finish()
        .map_err(|e| AnalysisError::table(path, e))
}

/// Reads `cells.parquet`.
pub fn read_cells(path: &Path) -> Result<Vec<Observation>, AnalysisError> {
    let frame = read_parquet(path)?;
    rows_of(&frame).map_err(|e| AnalysisError::table(path, e))
}

fn rows_of(frame: &DataFrame) -> PolarsResult<Vec<Observation>> {
    let text = |name: &str, i: usize| -> PolarsResult<String> {
        Ok(frame
            .column(name)?
            .str()?
            .get(i)
            .unwrap_or_default()
            .to_owned())
    };
    let real = |name: &str, i: usize| -> PolarsResult<Option<f64>> {
        Ok(frame.column(name)?.f64()?.get(i))
    };
    let number =
        |name: &str, i: usize| -> PolarsResult<f64> { Ok(real(name, i)?.unwrap_or(f64::NAN)) };
    let count = |name: &str, i: usize| -> PolarsResult<u64> {
        Ok(frame.column(name)?.u64()?.get(i).unwrap_or_default())
    };
    (0..frame.height())
        .map(|i| {
            Ok(Observation {
                model: text("model", i)?,
                params_nominal: real("params_nominal", i)?,
                params_total: count("params_total", i)?,
                params_non_embedding: count("params_non_embedding", i)?,
                step: count("step", i)?,
                modality: text("modality", i)?,
                protocol: text("protocol", i)?,
                chunks: count("chunks", i)?,
                cr: number("cr", i)?,
                cr_mean: number("cr_mean", i)?,
                cr_std: number("cr_std", i)?,
                cr_sem: number("cr_sem", i)?,
                cr_lo: number("cr_lo", i)?,
                cr_hi: number("cr_hi", i)?,
                cr_sum_ratio: number("cr_sum_ratio", i)?,
                bits_per_byte: number("bits_per_byte", i)?,
                side_bits: number("side_bits", i)?,
                context_min: count("context_min", i)?,
                context_mean: number("context_mean", i)?,
                tokens: count("tokens", i)?,
                tokens_scored: count("tokens_scored", i)?,
                dropped: count("dropped", i)?,
                nan: count("nan", i)?,
                floored: count("floored", i)?,
            })
        })
        .collect()
}

/// The ratio of one chunk that counts.
#[derive(Clone, Debug)]
pub(crate) struct ChunkRatio {
    /// (protocol, modality, model, step).
    pub(crate) cell: (String, String, String, u64),
    pub(crate) chunk: u64,
    pub(crate) ratio: f64,
}

/// Reads the ratios of `chunks.parquet`, dropped chunks left out.
pub(crate) fn read_chunk_ratios(path: &Path) -> Result<Vec<ChunkRatio>, AnalysisError> {
    let frame = read_parquet(path)?;
    chunk_ratios_of(&frame).map_err(|e| AnalysisError::table(path, e))
}

fn chunk_ratios_of(frame: &DataFrame) -> PolarsResult<Vec<ChunkRatio>> {
    let [protocol, modality, model] = ["protocol", "modality", "model"].map(|n| frame.column(n));
    let (protocol, modality, model) = (protocol?.str()?, modality?.str()?, model?.str()?);
    let (step, chunk) = (frame.column("step")?.u64()?, frame.column("chunk")?.u64()?);
    let (ratio, dropped) = (frame.column("cr")?.f64()?, frame.column("dropped")?.bool()?);
    let text = |column: &StringChunked, i: usize| column.get(i).unwrap_or_default().to_owned();
    let row = |i: usize| {
        let cell = (
            text(protocol, i),
            text(modality, i),
            text(model, i),
            step.get(i).unwrap_or_default(),
        );
        let chunk = chunk.get(i).unwrap_or_default();
        let ratio = ratio.get(i).unwrap_or(f64::NAN);
        (!dropped.get(i).unwrap_or(false)).then_some(ChunkRatio { cell, chunk, ratio })
    };
    Ok((0..frame.height()).filter_map(row).collect())
}

/// Writes `draws.parquet`: a row per refit and quantity.
pub(crate) fn write_draws(draws: &[Draws], parquet: &Path) -> Result<(), AnalysisError> {
    let mut rows: Vec<(u64, &str, u64, &str, f64)> = Vec::new();
    for of_fit in draws {
        for (number, row) in of_fit.rows.iter().enumerate() {
            for (name, value) in of_fit.names.iter().zip(row) {
                let fit = of_fit.fit as u64;
                rows.push((fit, of_fit.kind.name(), number as u64, name, *value));
            }
        }
    }
    let columns = columns![rows;
        "fit" = |r| r.0, "kind" = |r| r.1, "refit" = |r| r.2, "quantity" = |r| r.3,
        "value" = |r| r.4,
    ];
    write_parquet(&mut frame(columns, parquet)?, parquet)
}

/// Reads `draws.parquet`.
pub(crate) fn read_draws(path: &Path) -> Result<Vec<Draws>, AnalysisError> {
    let frame = read_parquet(path)?;
    draws_of(&frame).map_err(|e| AnalysisError::table(path, e))
}

fn draws_of(frame: &DataFrame) -> PolarsResult<Vec<Draws>> {
    let (fits, refits) = (frame.column("fit")?.u64()?, frame.column("refit")?.u64()?);
    let (kinds, names) = (
        frame.column("kind")?.str()?,
        frame.column("quantity")?.str()?,
    );
    let values = frame.column("value")?.f64()?;
    let mut all: Vec<Draws> = Vec::new();
    for i in 0..frame.height() {
        let fit = fits.get(i).unwrap_or_default() as usize;
        let kind = match kinds.get(i) {
            Some("rounding") => Kind::Rounding,
            _ => Kind::Bootstrap,
        };
        if all
            .last()
            .is_none_or(|last| (last.fit, last.kind) != (fit, kind))
        {
            let (names, rows) = (Vec::new(), Vec::new());
            all.push(Draws {
                fit,
                kind,
                names,
                rows,
            });
        }
        let Some(last) = all.last_mut() else { continue };
        let refit = refits.get(i).unwrap_or_default() as usize;
        if last.rows.len() <= refit {
            last.rows.push(Vec::new());
        }
        if last.rows.len() == 1 {
            last.names.push(names.get(i).unwrap_or_default().to_owned());
        }
        if let Some(row) = last.rows.last_mut() {
            row.push(values.get(i).unwrap_or(f64::NAN));
        }
    }
    Ok(all)
}

/// Converts any Parquet table.
pub fn convert(
    path: &Path,
    format: TableFormat,
    out: &mut impl Write,
) -> Result<(), AnalysisError> {
    let mut frame = read_parquet(path)?;
    match format {
        TableFormat::Csv => CsvWriter::new(out)
            .finish(&mut frame)
            .map_err(|e| AnalysisError::table(path, e)),
        TableFormat::Json => {
            let rows: Vec<Value> = (0..frame.height()).map(|i| json_row(&frame, i)).collect();
            serde_json::to_writer_pretty(out, &rows).map_err(|e| AnalysisError::io(path, e.into()))
        }
    }
}

fn json_row(frame: &DataFrame, i: usize) -> Value {
    let entry = |column: &Column| {
        let value = match column.get(i) {
            Ok(AnyValue::Boolean(value)) => Value::Bool(value),
            Ok(AnyValue::Int64(value)) => value.into(),
            Ok(AnyValue::UInt64(value)) => value.into(),
            Ok(AnyValue::Float64(value)) => value.into(),
            Ok(AnyValue::Null) | Err(_) => Value::Null,
            Ok(AnyValue::String(text)) => text.into(),
            Ok(other) => other.to_string().into(),
        };
        (column.name().to_string(), value)
    };
    Value::Object(frame.columns().iter().map(entry).collect::<Map<_, _>>())
}
