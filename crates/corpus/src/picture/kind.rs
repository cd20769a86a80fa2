//! Kinds of pictures that the decoders don't decode, or decode otherwise than PIL.

use std::io::Cursor;

use image::ImageFormat;
use tiff::decoder::Decoder;
use tiff::tags::Tag;

use super::{bmp, jpeg};

/// What a file is, if it is of a kind that is not read.
pub(super) fn unread(format: ImageFormat, bytes: &[u8]) -> Option<&'static str> {
    match format {
        ImageFormat::Jpeg => jpeg::unread(bytes),
        ImageFormat::Bmp => bmp::unread(bytes),
        ImageFormat::Tiff => tiff(bytes),
        _ => None,
    }
}

/// Colours that were multiplied by their opacity; PIL divides them, and turns what is to be turned.
fn tiff(bytes: &[u8]) -> Option<&'static str> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    let mut numbers = |tag| decoder.find_tag_unsigned_vec::<u16>(tag).ok().flatten();
    if numbers(Tag::ExtraSamples).is_some_and(|kinds| kinds.contains(&1)) {
        return Some("colours that are multiplied by their opacity");
    }
    let turn = numbers(Tag::Orientation)?;
    (!matches!(turn[..], [0 | 1])).then_some("a TIFF whose tag `Orientation` turns or mirrors it")
}

/// Whether bytes begin a TIFF with 64-bit offsets.
pub(super) fn is_big_tiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II\x2B\0") || bytes.starts_with(b"MM\0\x2B")
}
