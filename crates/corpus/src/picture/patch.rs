//! Patches of pictures.

use cpipe_data::chunks::Origin;
use rand::{Rng, RngExt};

use super::decode::{Gray, decode};
use crate::chunk_params::Patch;
use crate::cut::Piece;
use crate::error::CorpusError;

impl Gray {
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
pub(crate) fn grid(file: &str, bytes: &[u8], patch: Patch) -> Result<Vec<Piece>, CorpusError> {
    let gray = decode(file, bytes)?;
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
    bytes: &[u8],
    patch: Patch,
    random: &mut impl Rng,
) -> Result<Piece, CorpusError> {
    let gray = decode(file, bytes)?;
    let top = random.random_range(0..=gray.height - patch.rows);
    let left = random.random_range(0..=gray.width - patch.columns);
    Ok(gray.patch(file, top, left, patch))
}
