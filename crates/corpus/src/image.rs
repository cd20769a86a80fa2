//! Images: PNG and JPEG to 8-bit grayscale patches.

use std::io::Cursor;

use cpipe_data::chunks::Origin;
use image::{DynamicImage, ImageReader, Limits};
use rand::{Rng, RngExt};

use crate::chunk::Patch;
use crate::cut::Piece;
use crate::error::CorpusError;

/// The most memory that one decoded image may take.
const MEMORY: u64 = 1 << 30;

/// A grayscale picture, row-major.
struct Gray {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Gray {
    fn of(file: &str, bytes: Vec<u8>) -> Result<Self, CorpusError> {
        let picture = decode(file, bytes)?;
        Ok(Self {
            width: picture.width() as usize,
            height: picture.height() as usize,
            pixels: luma(picture),
        })
    }

    fn patch(&self, file: &str, top: usize, left: usize, patch: Patch) -> Piece {
        let first = top * self.width + left;
        let rows = (0..patch.rows).map(|row| first + row * self.width);
        let bytes = rows
            .flat_map(|at| &self.pixels[at..at + patch.columns])
            .copied()
            .collect();
        let origin = Origin {
            file: file.to_owned(),
            offset: first as u64,
        };
        (origin, bytes)
    }
}

/// Whole patches of an image from its top left corner, row by row.
pub(crate) fn grid(file: &str, bytes: Vec<u8>, patch: Patch) -> Result<Vec<Piece>, CorpusError> {
    let gray = Gray::of(file, bytes)?;
    let mut pieces = Vec::new();
    for top in (0..gray.height / patch.rows).map(|i| i * patch.rows) {
        for left in (0..gray.width / patch.columns).map(|i| i * patch.columns) {
            pieces.push(gray.patch(file, top, left, patch));
        }
    }
    Ok(pieces)
}

/// One patch of a picture that is large enough, wherever `random` puts it.
pub(crate) fn crop(
    file: &str,
    bytes: Vec<u8>,
    patch: Patch,
    random: &mut impl Rng,
) -> Result<Piece, CorpusError> {
    let gray = Gray::of(file, bytes)?;
    let top = random.random_range(0..=gray.height - patch.rows);
    let left = random.random_range(0..=gray.width - patch.columns);
    Ok(gray.patch(file, top, left, patch))
}

/// Whether a picture is as large as a patch, by its header.
pub(crate) fn is_large_enough(file: &str, bytes: &[u8], patch: Patch) -> Result<bool, CorpusError> {
    let failed = |reason: String| CorpusError::undecodable(file, "PNG or JPEG", reason);
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| failed(e.to_string()))?;
    let (width, height) = reader
        .into_dimensions()
        .map_err(|e| failed(e.to_string()))?;
    Ok(width as usize >= patch.columns && height as usize >= patch.rows)
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
    use std::path::Path;

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
