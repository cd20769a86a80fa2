//! Sizes, in bytes, that compressors give.

use std::io::Write;

use brotli::enc::BrotliEncoderParams;
use flacenc::bitsink::ByteSink;
use flacenc::component::BitRepr;
use flacenc::error::Verify;
use lzma_rust2::{XzOptions, XzWriter};

/// Pixels in a row of a PNG.
pub(super) const PNG_WIDTH: usize = 64;
/// Samples in a FLAC block, as its encoders choose.
const FLAC_BLOCK: usize = 4096;

fn failed(error: impl ToString) -> String {
    error.to_string()
}

pub(super) fn gzip(data: &[u8]) -> Result<usize, String> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(data).map_err(failed)?;
    writer.finish().map(|out| out.len()).map_err(failed)
}

pub(super) fn bzip2(data: &[u8]) -> Result<usize, String> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    writer.write_all(data).map_err(failed)?;
    writer.finish().map(|out| out.len()).map_err(failed)
}

pub(super) fn xz(data: &[u8]) -> Result<usize, String> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(6)).map_err(failed)?;
    writer.write_all(data).map_err(failed)?;
    writer.finish().map(|out| out.len()).map_err(failed)
}

pub(super) fn zstd(data: &[u8]) -> Result<usize, String> {
    zstd::bulk::compress(data, 19)
        .map(|out| out.len())
        .map_err(failed)
}

pub(super) fn brotli(data: &[u8]) -> Result<usize, String> {
    let params = BrotliEncoderParams {
        quality: 11,
        lgwin: 22,
        ..BrotliEncoderParams::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &data[..], &mut out, &params).map_err(failed)?;
    Ok(out.len())
}

/// As a gray image of rows of [`PNG_WIDTH`] pixels, or of one shorter row.
pub(super) fn png(data: &[u8]) -> Result<usize, String> {
    let width = PNG_WIDTH.min(data.len());
    let height = data.len() / width;
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer
        .write_image_data(&data[..width * height])
        .map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out.len())
}

pub(super) fn flac(data: &[u8]) -> Result<usize, String> {
    let pairs = data.as_chunks::<2>().0.iter();
    let samples: Vec<i32> = pairs.map(|b| i32::from(i16::from_le_bytes(*b))).collect();
    let config = flacenc::config::Encoder::default();
    let config = config.into_verified().map_err(|(_, e)| failed(e))?;
    let source = flacenc::source::MemSource::from_samples(&samples, 1, 16, 16_000);
    let block = FLAC_BLOCK.min(samples.len());
    let stream = flacenc::encode_with_fixed_block_size(&config, source, block).map_err(failed)?;
    let mut sink = ByteSink::new();
    stream
        .write(&mut sink)
        .map_err(|e| failed(format!("{e:?}")))?;
    Ok(sink.as_slice().len())
}
