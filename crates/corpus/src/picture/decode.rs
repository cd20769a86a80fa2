//! Bytes of a picture to its gray values.

use std::io::Cursor;

use image::{ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg::Fault;
use super::{bmp, gray, kind, named, whole};
use crate::chunk_params::Patch;
use crate::error::CorpusError;
use crate::guard::guarded;
use crate::named::{Named, refuse_pointer};

/// The most bytes that a decoded picture may come to. Decoders need up to three times that.
const MEMORY: u64 = 1 << 30;

/// A grayscale picture, row-major.
pub(super) struct Gray {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

/// Decodes a picture of any format that is read.
pub(super) fn decode(file: &str, bytes: &[u8]) -> Result<Gray, CorpusError> {
    let (named, format) = format(file, bytes)?;
    whole::check(format, bytes).map_err(|reason| named.damaged(reason))?;
    guarded(named, || match format {
        ImageFormat::Jpeg => jpeg(named, bytes),
        _ => other(named, format, bytes),
    })
}

/// A picture by the decoder of `image` for its format.
fn other(named: Named<'_>, format: ImageFormat, bytes: &[u8]) -> Result<Gray, CorpusError> {
    let mut decoder = reader(format, bytes)
        .into_decoder()
        .map_err(|e| fault(named, &e))?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > MEMORY {
        return Err(too_large(named, width.into(), height.into()));
    }
    decoder.set_limits(limits()).map_err(|e| fault(named, &e))?;
    let mut picture = image::DynamicImage::from_decoder(decoder).map_err(|e| fault(named, &e))?;
    if format == ImageFormat::Bmp {
        bmp::round_down(bytes, &mut picture);
    }
    let pixels = gray::luma(picture).ok_or_else(|| named.unread("floating-point samples"))?;
    Ok(Gray {
        width: width as usize,
        height: height as usize,
        pixels,
    })
}

/// Whether a picture is as large as a patch, by its header.
pub(crate) fn is_large_enough(file: &str, bytes: &[u8], patch: Patch) -> Result<bool, CorpusError> {
    let (named, format) = format(file, bytes)?;
    let size = || {
        reader(format, bytes)
            .into_dimensions()
            .map_err(|e| fault(named, &e))
    };
    let (width, height) = guarded(named, size)?;
    Ok(width as usize >= patch.columns && height as usize >= patch.rows)
}

fn reader(format: ImageFormat, bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    reader
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    limits
}

/// What a picture is by its first bytes.
fn format<'f>(file: &'f str, bytes: &[u8]) -> Result<(Named<'f>, ImageFormat), CorpusError> {
    refuse_pointer(file, bytes)?;
    if let Ok(format) = image::guess_format(bytes) {
        let name = match format {
            ImageFormat::Png => "PNG",
            ImageFormat::Jpeg => "JPEG",
            ImageFormat::WebP => "WebP",
            ImageFormat::Gif => "GIF",
            ImageFormat::Bmp => "BMP",
            ImageFormat::Tiff => "TIFF",
            other => {
                let found = format!("a picture of the format {other:?}");
                return Err(named(file, "picture").unread(found));
            }
        };
        let named = named(file, name);
        let unread = guarded(named, || Ok(kind::unread(format, bytes)))?;
        return unread.map_or(Ok((named, format)), |found| Err(named.unread(found)));
    }
    if kind::is_big_tiff(bytes) {
        return Err(named(file, "TIFF").unread("a TIFF with 64-bit offsets (BigTIFF)"));
    }
    let reason = match bytes {
        [] => "it is empty",
        _ => "its first bytes are those of none of PNG, JPEG, WebP, GIF, BMP and TIFF",
    };
    Err(named(file, by_ending(file)).damaged(reason))
}

/// What a file should be by its name; a picture in a table has no ending.
fn by_ending(file: &str) -> &'static str {
    match ImageFormat::from_path(file) {
        Ok(ImageFormat::Png) => "PNG",
        Ok(ImageFormat::Jpeg) => "JPEG",
        Ok(ImageFormat::WebP) => "WebP",
        Ok(ImageFormat::Gif) => "GIF",
        Ok(ImageFormat::Bmp) => "BMP",
        Ok(ImageFormat::Tiff) => "TIFF",
        _ => "picture",
    }
}

fn fault(named: Named<'_>, error: &ImageError) -> CorpusError {
    match error {
        ImageError::Limits(_) => named.too_large("it declares more than 1 GiB of pixels"),
        ImageError::Unsupported(_) => named.unread(format!("a picture of this kind ({error})")),
        _ => named.damaged(error),
    }
}

fn too_large(named: Named<'_>, width: u64, height: u64) -> CorpusError {
    named.too_large(format!(
        "it declares {width} × {height} pixels, more than 1 GiB"
    ))
}

/// A JPEG by the decoder that `image` uses, which fills what is cut or damaged with gray unless it is
/// told to be strict, and `image` has no way to tell it.
fn jpeg(named: Named<'_>, bytes: &[u8]) -> Result<Gray, CorpusError> {
    let failed = |e: DecodeErrors| named.damaged(e);
    super::jpeg::check(bytes, MEMORY).map_err(|fault| match fault {
        Fault::Damaged(reason) => named.damaged(reason),
        Fault::Unread(found) => named.unread(found),
        Fault::TooLarge(width, height) => too_large(named, width as u64, height as u64),
    })?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(failed)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let colour = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colour));
    let samples = decoder.decode().map_err(failed)?;
    let pixels = match colour {
        ColorSpace::Luma => samples,
        _ => samples
            .as_chunks()
            .0
            .iter()
            .map(|p| gray::luma_of(*p))
            .collect(),
    };
    if pixels.len() != width * height {
        return Err(named.damaged("it holds fewer pixels than it declares"));
    }
    Ok(Gray {
        width,
        height,
        pixels,
    })
}
