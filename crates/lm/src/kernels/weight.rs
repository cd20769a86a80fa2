//! Matrices as they lie in a weights file, upcast to f32 panel by panel when they are used.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use super::tile::COLUMNS;

/// Number format of stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    F16,
    Bf16,
    F32,
}

impl Stored {
    /// Bytes of an element.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }

    /// Upcasts little-endian elements; exact.
    #[inline(always)]
    pub(crate) fn read(self, bytes: &[u8], out: &mut [f32]) {
        let halves = bytes.as_chunks::<2>().0.iter();
        match self {
            Self::F16 => {
                for (out, b) in out.iter_mut().zip(halves) {
                    *out = from_f16(u16::from_le_bytes(*b));
                }
            }
            Self::Bf16 => {
                for (out, b) in out.iter_mut().zip(halves) {
                    *out = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
                }
            }
            Self::F32 => {
                for (out, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*b);
                }
            }
        }
    }
}

/// Exact, and without branches so that it becomes vector code.
#[inline(always)]
fn from_f16(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // Moves the exponent's bias from 15 to 127; makes numbers of subnormals, too.
    let finite = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
    let special = magnitude | 0x7f80_0000;
    let value = if magnitude < 0x0f80_0000 {
        finite
    } else {
        special
    };
    f32::from_bits(value | u32::from(bits & 0x8000) << 16)
}

/// A matrix of a memory-mapped file, row by row. A linear layer stores an output in each row.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    file: Arc<Mmap>,
    bytes: Range<usize>,
    stored: Stored,
    rows: usize,
    columns: usize,
    /// Whether the file has it column by column.
    by_input: bool,
}

impl Matrix {
    /// `rows` × `columns` elements at `bytes` of `file`.
    ///
    /// # Panics
    /// When the range has another length or lies outside the file.
    pub(crate) fn new(
        file: Arc<Mmap>,
        bytes: Range<usize>,
        stored: Stored,
        [rows, columns]: [usize; 2],
    ) -> Self {
        assert_eq!(bytes.len(), rows * columns * stored.bytes());
        assert!(bytes.end <= file.len());
        Self {
            file,
            bytes,
            stored,
            rows,
            columns,
            by_input: false,
        }
    }

    /// The same elements, stored with a row for each input instead: column by column.
    pub(crate) fn by_input(self) -> Self {
        Self {
            by_input: true,
            ..self
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Whether both are the same part of the same file.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && self.bytes == other.bytes
    }

    /// Rows as they lie in the file, where they lie there one after the other.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn stored_rows(&self, rows: Range<usize>) -> Option<(Stored, &[u8])> {
        let at = |row: usize| row * self.columns * self.stored.bytes();
        let bytes = &self.file[self.bytes.clone()];
        (!self.by_input).then(|| (self.stored, &bytes[at(rows.start)..at(rows.end)]))
    }

    /// Upcasts row `row` of a matrix that is stored row by row.
    #[inline(always)]
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        self.read(row, 0..self.columns, out);
    }

    #[inline(always)]
    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let at = |column: usize| (row * self.columns + column) * self.stored.bytes();
        let bytes = &self.file[self.bytes.clone()][at(columns.start)..at(columns.end)];
        self.stored.read(bytes, out);
    }

    /// Upcasts rows `first..` as the columns of `panel`; columns beyond the last row become 0.
    #[inline(always)]
    pub(super) fn pack(&self, first: usize, panel: &mut [[f32; COLUMNS]]) {
        const STEP: usize = 16;
        let rows = COLUMNS.min(self.rows - first);
        if rows < COLUMNS {
            panel.fill([0.0; COLUMNS]);
        }
        if self.by_input {
            for (input, line) in panel.iter_mut().enumerate() {
                let at = (input * self.rows + first) * self.stored.bytes();
                let bytes = &self.file[self.bytes.clone()][at..at + rows * self.stored.bytes()];
                self.stored.read(bytes, &mut line[..rows]);
            }
            return;
        }
        let mut line = [0.0; STEP];
        for (step, lines) in panel.chunks_mut(STEP).enumerate() {
            let columns = step * STEP..step * STEP + lines.len();
            for row in 0..rows {
                let line = &mut line[..lines.len()];
                self.read(first + row, columns.clone(), line);
                for (to, x) in lines.iter_mut().zip(line) {
                    to[row] = *x;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_upcast_exactly() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (from_f16(bits), half::f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()));
        }
    }
}
