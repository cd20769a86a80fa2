//! The nano suite's data in the shapes in which the paper's data come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flacenc::bitsink::ByteSink;
use flacenc::component::BitRepr;
use flacenc::error::Verify;
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

/// A gray PNG with rows of `width` pixels.
pub(crate) fn gray(pixels: &[u8], width: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, pixels.len() as u32 / width);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    out
}

/// A FLAC file of 16-bit PCM, mono, 16 kHz.
pub(crate) fn flac(pcm: &[u8]) -> Vec<u8> {
    let pairs = pcm.as_chunks::<2>().0.iter();
    let samples: Vec<i32> = pairs.map(|b| i32::from(i16::from_le_bytes(*b))).collect();
    let config = flacenc::config::Encoder::default().into_verified().unwrap();
    let source = flacenc::source::MemSource::from_samples(&samples, 1, 16, 16_000);
    let stream = flacenc::encode_with_fixed_block_size(&config, source, 4096).unwrap();
    let mut sink = ByteSink::new();
    stream.write(&mut sink).unwrap();
    sink.as_slice().to_vec()
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
