//! Images: PNG and JPEG to 8-bit grayscale patches.

use std::io::Cursor;
use std::path::Path;

use cpipe_data::chunks::Origin;
use image::{DynamicImage, ImageReader, Limits};

use crate::chunk::Patch;
use crate::cut::Piece;
use crate::error::CorpusError;

/// The most memory that one decoded image may take.
const MEMORY: u64 = 1 << 30;

/// Whole patches of an image from its top left corner, row by row.
pub(crate) fn patches(file: &str, path: &Path, patch: Patch) -> Result<Vec<Piece>, CorpusError> {
    let bytes = fs_err::read(path).map_err(|e| CorpusError::io(path, e))?;
    let picture = decode(file, bytes)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let gray = luma(picture);
    let mut pieces = Vec::new();
    for top in (0..height / patch.rows).map(|i| i * patch.rows) {
        for left in (0..width / patch.columns).map(|i| i * patch.columns) {
            let first = top * width + left;
            let rows = (0..patch.rows).map(|row| first + row * width);
            let bytes = rows
                .flat_map(|at| &gray[at..at + patch.columns])
                .copied()
                .collect();
            pieces.push((
                Origin {
                    file: file.to_owned(),
                    offset: first as u64,
                },
                bytes,
            ));
        }
    }
    Ok(pieces)
}

fn decode(file: &str, bytes: Vec<u8>) -> Result<DynamicImage, CorpusError> {
    let failed = |reason: String| CorpusError::undecodable(file, "PNG or JPEG", reason);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| failed(e.to_string()))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    reader.decode().map_err(|e| failed(e.to_string()))
}

/// Rec. 601 luma in the integers that PIL uses; gray images as they are; transparency ignored.
fn luma(picture: DynamicImage) -> Vec<u8> {
    match picture {
        DynamicImage::ImageLuma8(gray) => gray.into_raw(),
        DynamicImage::ImageLumaA8(gray) => gray.pixels().map(|p| p.0[0]).collect(),
        DynamicImage::ImageLuma16(gray) => gray.pixels().map(|p| (p.0[0] >> 8) as u8).collect(),
        DynamicImage::ImageLumaA16(gray) => gray.pixels().map(|p| (p.0[0] >> 8) as u8).collect(),
        colour => colour.to_rgb8().pixels().map(|p| luma_of(p.0)).collect(),
    }
}

fn luma_of([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b);
    ((sum + 32768) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_is_a_fixed_point_of_luma() {
        for value in 0..=255 {
            assert_eq!(luma_of([value; 3]), value);
        }
    }

    #[test]
    fn a_truncated_png_is_an_error_that_names_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/eval/image");
        let bytes = std::fs::read(root.join("chelsea.png")).unwrap();
        for keep in [0, 7, 30, 1000, bytes.len() / 2] {
            let error = decode("chelsea.png", bytes[..keep].to_vec())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("`chelsea.png` is not a valid PNG or JPEG"),
                "{error}"
            );
        }
    }
}
