//! Pictures one after the other: each file is one, or a Parquet table of many.

use std::path::Path;

use cpipe_engine::StageError;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::SchemaDescriptor;

use crate::error::CorpusError;

/// Rows that are in memory at once.
const BATCH: usize = 32;

/// Told the name and the bytes of a picture.
pub(crate) type See<'s> = dyn FnMut(&str, Vec<u8>) -> Result<(), StageError> + 's;

/// Calls `see` with name and bytes of every picture in a file. A picture in a table is called
/// `FILE/ROW`; rows without one are passed over.
pub(crate) fn each(file: &str, path: &Path, see: &mut See<'_>) -> Result<(), StageError> {
    if !file.to_lowercase().ends_with(".parquet") {
        let bytes = fs_err::read(path).map_err(|e| CorpusError::io(path, e))?;
        return see(file, bytes);
    }
    let failed = |e: parquet::errors::ParquetError| CorpusError::undecodable(file, "Parquet", e);
    let opened = fs_err::File::open(path).map_err(|e| CorpusError::io(path, e))?;
    let reader = SerializedFileReader::new(opened.into_parts().0).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let column = column_of(file, schema)?;
    let level = schema.column(column).max_def_level();
    let mut row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(failed)?;
        let mut column = bytes_of(file, group.as_ref(), column)?;
        loop {
            let batch = read_batch(&mut column, level).map_err(failed)?;
            if batch.is_empty() {
                break;
            }
            for picture in batch {
                if let Some(bytes) = picture {
                    see(&format!("{file}/{row}"), bytes.data().to_vec())?;
                }
                row += 1;
            }
        }
    }
    Ok(())
}

/// The next rows; none at the end.
fn read_batch(
    column: &mut ColumnReaderImpl<ByteArrayType>,
    level: i16,
) -> parquet::errors::Result<Vec<Option<ByteArray>>> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (rows, _, _) = column.read_records(BATCH, Some(&mut levels), None, &mut values)?;
    if levels.is_empty() {
        return Ok(values.into_iter().take(rows).map(Some).collect());
    }
    let mut values = values.into_iter();
    let next = |l: &i16| if *l == level { values.next() } else { None };
    Ok(levels.iter().map(next).collect())
}

fn bytes_of(
    file: &str,
    group: &dyn RowGroupReader,
    column: usize,
) -> Result<ColumnReaderImpl<ByteArrayType>, CorpusError> {
    let failed = |e: parquet::errors::ParquetError| CorpusError::undecodable(file, "Parquet", e);
    match group.get_column_reader(column).map_err(failed)? {
        ColumnReader::ByteArrayColumnReader(reader) => Ok(reader),
        _ => Err(CorpusError::undecodable(
            file,
            "Parquet",
            "its pictures are not bytes",
        )),
    }
}

/// The column with the pictures: `image.bytes` as data sets on the hub have it, else `image`.
fn column_of(file: &str, schema: &SchemaDescriptor) -> Result<usize, CorpusError> {
    let columns = schema.columns().iter();
    let names: Vec<String> = columns.map(|column| column.path().string()).collect();
    let find = |name: &str| names.iter().position(|found| found == name);
    find("image.bytes")
        .or_else(|| find("image"))
        .ok_or_else(|| {
            let reason = format!(
                "no column `image.bytes` or `image` among {}",
                names.join(", ")
            );
            CorpusError::undecodable(file, "Parquet", reason)
        })
}
