//! The nano suite's data in the shapes in which the paper's data come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::hub::Files;
use crate::repository;

/// The files of a folder of the nano suite.
pub(crate) fn files(folder: &str) -> Files {
    let folder = repository().join("assets/nano").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (name(&path), std::fs::read(&path).unwrap()))
        .collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Files as pairs for the archive makers.
pub(crate) fn pairs(files: &Files) -> Vec<(&str, &[u8])> {
    files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect()
}

/// Bytes of 16-bit PCM in FLAC files, by their headers.
pub(crate) fn pcm_bytes(files: &Files) -> u64 {
    let samples = files.values().map(|flac| {
        let count = flac[21..26]
            .iter()
            .fold(0, |n, byte| (n << 8) | u64::from(*byte));
        count & 0xF_FFFF_FFFF
    });
    samples.sum::<u64>() * 2
}

/// A table with a column `image` of pictures, as data sets on the hub have it.
pub(crate) fn table(pictures: &Files, path: PathBuf) -> Vec<u8> {
    let schema = "message rows { optional group image { optional binary bytes; } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = pictures.values().map(|b| b.clone().into()).collect();
    let levels = vec![2; values.len()];
    let typed = column.typed::<ByteArrayType>();
    typed.write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    std::fs::read(path).unwrap()
}
