//! Pictures in Parquet tables, one a row.

use std::path::Path;

use cpipe_engine::StageError;
use parquet::basic::{Compression, ConvertedType, LogicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::SchemaDescriptor;

use super::See;
use crate::error::CorpusError;
use crate::guard::guarded;
use crate::named::{Named, refuse_pointer};

/// Bytes at the end of a file among which the mark of its end is looked for.
const TAIL: u64 = 1 << 16;
/// Rows that are in memory at once.
const BATCH: usize = 32;

/// Calls `see` with name and bytes of every picture in a table, which are called `FILE/ROW`. Rows with
/// neither bytes nor a path are passed over.
pub(super) fn each(file: &str, path: &Path, see: &mut See<'_>) -> Result<(), StageError> {
    let named = Named {
        file,
        format: "Parquet",
        instead: "a table with the pictures' bytes in the column `image.bytes`",
    };
    let reader = guarded(named, || open(named, path))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let columns = Columns::of(named, schema)?;
    let (mut row, mut pictures) = (0, 0);
    for group in 0..reader.num_row_groups() {
        let group = guarded(named, || {
            reader.get_row_group(group).map_err(|e| fault(named, e))
        })?;
        check_compression(named, group.metadata(), &columns)?;
        let mut rows = guarded(named, || Rows::of(named, group.as_ref(), schema, &columns))?;
        loop {
            let batch = guarded(named, || rows.next(named))?;
            if batch.is_empty() {
                break;
            }
            for (bytes, path) in batch {
                if let Some(bytes) = bytes {
                    see(&format!("{file}/{row}"), bytes.data().to_vec())?;
                    pictures += 1;
                } else if let Some(path) = path {
                    return Err(paths_only(named, row, &path).into());
                }
                row += 1;
            }
        }
    }
    if row > 0 && pictures == 0 {
        return Err(named
            .unread(format!("a table whose {row} rows hold no picture"))
            .into());
    }
    Ok(())
}

fn paths_only(named: Named<'_>, row: usize, path: &ByteArray) -> CorpusError {
    let path = String::from_utf8_lossy(path.data());
    let path = path.escape_debug();
    named.unread(format!(
        "paths in place of pictures: row {row} holds the path `{path}` and no bytes"
    ))
}

fn open(named: Named<'_>, path: &Path) -> Result<SerializedFileReader<std::fs::File>, CorpusError> {
    let io = |e| CorpusError::io(path, e);
    let mut file = fs_err::File::open(path).map_err(io)?.into_parts().0;
    check_ends(named, &mut file, path)?;
    SerializedFileReader::new(file)
        .map_err(|e| named.damaged(format!("its footer is damaged or encrypted ({e})")))
}

/// Says what a file is that does not begin and end as Parquet.
fn check_ends(named: Named<'_>, file: &mut std::fs::File, path: &Path) -> Result<(), CorpusError> {
    use std::io::{Read, Seek, SeekFrom};
    let io = |e| CorpusError::io(path, e);
    let mut head = Vec::new();
    file.take(1024).read_to_end(&mut head).map_err(io)?;
    refuse_pointer(named.file, &head)?;
    let length = file.seek(SeekFrom::End(0)).map_err(io)?;
    let start = length.saturating_sub(TAIL).max(head.len().min(8) as u64);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    file.read_to_end(&mut tail).map_err(io)?;
    if head.starts_with(b"PARE") || tail.ends_with(b"PARE") {
        return Err(named.unread("an encrypted table"));
    }
    if !head.starts_with(b"PAR1") {
        return Err(named.damaged("its first bytes are not `PAR1`"));
    }
    if tail.ends_with(b"PAR1") {
        return Ok(());
    }
    let end = tail.windows(4).rposition(|four| four == b"PAR1");
    Err(named.damaged(match end.map(|at| tail.len() - at - 4) {
        Some(more) => format!("{more} bytes follow the `PAR1` at its end"),
        None => "it is cut: its last bytes are not `PAR1`".to_owned(),
    }))
}

fn fault(named: Named<'_>, error: ParquetError) -> CorpusError {
    match error {
        ParquetError::NYI(what) => named.unread(what),
        error => named.damaged(error),
    }
}

/// Where the pictures are.
struct Columns {
    bytes: usize,
    path: Option<usize>,
}

impl Columns {
    /// `image.bytes` and `image.path` as data sets on the hub have it, else `image`.
    fn of(named: Named<'_>, schema: &SchemaDescriptor) -> Result<Self, CorpusError> {
        let columns = schema.columns().iter();
        let names: Vec<String> = columns.map(|column| column.path().string()).collect();
        let find = |name: &str| names.iter().position(|found| found == name);
        let path = find("image.path");
        if let Some(bytes) = find("image.bytes") {
            return Ok(Self { bytes, path });
        }
        let Some(bytes) = find("image") else {
            if path.is_some() {
                return Err(named.unread("a table with the paths of pictures and not their bytes"));
            }
            let names = names.join("`, `");
            let found = format!(
                "a table with neither `image.bytes` nor `image` among its columns `{names}`"
            );
            return Err(named.unread(found));
        };
        let column = schema.column(bytes);
        let is_text = column.logical_type_ref() == Some(&LogicalType::String)
            || column.converted_type() == ConvertedType::UTF8;
        if is_text {
            return Err(named.unread("a column `image` of text, such as paths, and not of bytes"));
        }
        Ok(Self { bytes, path })
    }
}

fn check_compression(
    named: Named<'_>,
    group: &RowGroupMetaData,
    columns: &Columns,
) -> Result<(), CorpusError> {
    match group.column(columns.bytes).compression() {
        Compression::LZO => Err(named.unread("the compression LZO")),
        _ => Ok(()),
    }
}

/// Bytes and path of a row.
type Row = (Option<ByteArray>, Option<ByteArray>);

/// The rows of a row group.
struct Rows {
    bytes: Column,
    path: Option<Column>,
}

impl Rows {
    fn of(
        named: Named<'_>,
        group: &dyn RowGroupReader,
        schema: &SchemaDescriptor,
        columns: &Columns,
    ) -> Result<Self, CorpusError> {
        let column = |at| Column::of(named, group, schema, at);
        Ok(Self {
            bytes: column(columns.bytes)?,
            path: columns.path.map(column).transpose()?,
        })
    }

    /// The next rows; none at the end.
    fn next(&mut self, named: Named<'_>) -> Result<Vec<Row>, CorpusError> {
        let failed = |e| fault(named, e);
        let bytes = self.bytes.next().map_err(failed)?;
        let mut paths = match &mut self.path {
            Some(path) => path.next().map_err(failed)?.into_iter(),
            None => Vec::new().into_iter(),
        };
        Ok(bytes
            .into_iter()
            .map(|bytes| (bytes, paths.next().flatten()))
            .collect())
    }
}

/// A column of byte arrays that may be missing.
struct Column {
    reader: ColumnReaderImpl<ByteArrayType>,
    /// The definition level of a value that is there.
    level: i16,
}

impl Column {
    fn of(
        named: Named<'_>,
        group: &dyn RowGroupReader,
        schema: &SchemaDescriptor,
        at: usize,
    ) -> Result<Self, CorpusError> {
        let level = schema.column(at).max_def_level();
        match group.get_column_reader(at).map_err(|e| fault(named, e))? {
            ColumnReader::ByteArrayColumnReader(reader) => Ok(Self { reader, level }),
            _ => {
                let column = schema.column(at);
                let (path, kind) = (column.path().string(), column.physical_type());
                Err(named.unread(format!(
                    "a column `{path}` of the type {kind}, only of BYTE_ARRAY"
                )))
            }
        }
    }

    fn next(&mut self) -> parquet::errors::Result<Vec<Option<ByteArray>>> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (rows, _, _) = self
            .reader
            .read_records(BATCH, Some(&mut levels), None, &mut values)?;
        if levels.is_empty() {
            return Ok(values.into_iter().take(rows).map(Some).collect());
        }
        let mut values = values.into_iter();
        let next = |l: &i16| {
            if *l == self.level {
                values.next()
            } else {
                None
            }
        };
        Ok(levels.iter().map(next).collect())
    }
}
