//! Pictures to 8-bit grayscale patches: PNG, JPEG, WebP, GIF, BMP and TIFF, also in Parquet tables.

mod bmp;
mod decode;
mod gray;
mod jpeg;
mod kind;
mod patch;
mod table;
mod whole;

use std::path::Path;

use cpipe_engine::StageError;

use crate::named::Named;

pub(crate) use decode::is_large_enough;
pub(crate) use patch::{crop, grid};

/// Endings of the names of files with pictures.
pub(crate) const ENDINGS: [&str; 9] = [
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".parquet",
];

/// Called with the name and the bytes of a picture.
pub(crate) type See<'s> = dyn FnMut(&str, Vec<u8>) -> Result<(), StageError> + 's;

/// Calls `see` with name and bytes of every picture in a file.
pub(crate) fn each(file: &str, path: &Path, see: &mut See<'_>) -> Result<(), StageError> {
    if file.to_lowercase().ends_with(".parquet") {
        return table::each(file, path, see);
    }
    see(file, crate::named::read(file, path)?)
}

/// A picture that is read as `format`.
fn named<'f>(file: &'f str, format: &'static str) -> Named<'f> {
    Named {
        file,
        format,
        instead: "8-bit PNG",
    }
}

#[cfg(test)]
mod tests;
