//! Matrices as they lie in a weights file, upcast to f32 panel by panel when they are used.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use super::blocks::Blocks;
use super::tile::COLUMNS;

/// Number format of stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    F16,
    Bf16,
    F32,
    Blocks(Blocks),
}

impl Stored {
    /// Bytes of `elements` that begin a block, or `None` where they don't end one.
    pub(crate) fn bytes(self, elements: usize) -> Option<usize> {
        match self {
            Self::F16 | Self::Bf16 => elements.checked_mul(2),
            Self::F32 => elements.checked_mul(4),
            Self::Blocks(blocks) if elements.is_multiple_of(blocks.elements()) => {
                (elements / blocks.elements()).checked_mul(blocks.bytes())
            }
            Self::Blocks(_) => None,
        }
    }

    /// Upcasts little-endian elements `first..` of `bytes`; exact. In blocks `first` and the
    /// length are multiples of 16.
    #[inline(always)]
    pub(crate) fn read(self, bytes: &[u8], first: usize, out: &mut [f32]) {
        let halves = || bytes[2 * first..].as_chunks::<2>().0.iter();
        match self {
            Self::F16 => {
                for (out, b) in out.iter_mut().zip(halves()) {
                    *out = from_f16(u16::from_le_bytes(*b));
                }
            }
            Self::Bf16 => {
                for (out, b) in out.iter_mut().zip(halves()) {
                    *out = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
                }
            }
            Self::F32 => {
                for (out, b) in out.iter_mut().zip(bytes[4 * first..].as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*b);
                }
            }
            Self::Blocks(blocks) => blocks.read(bytes, first, out),
        }
    }
}

/// Exact, and without branches so that it becomes vector code.
#[inline(always)]
pub(super) fn from_f16(bits: u16) -> f32 {
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

/// How a file orders the elements of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Row by row.
    Rows,
    /// Column by column: a row for each input of a linear layer.
    Columns,
    /// Row by row, the halves of each group of so many rows interleaved: 0, n/2, 1, n/2 + 1, …
    Paired(usize),
}

/// A matrix of a memory-mapped file. A linear layer has an output in each row.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    file: Arc<Mmap>,
    bytes: Range<usize>,
    stored: Stored,
    rows: usize,
    columns: usize,
    /// Bytes of a row of the file, where it lies row by row.
    row_bytes: usize,
    order: Order,
}

impl Matrix {
    /// `rows` × `columns` elements at `bytes` of `file`.
    ///
    /// # Panics
    /// When the range has another length or lies outside the file, or a row ends within a block.
    pub(crate) fn new(
        file: Arc<Mmap>,
        bytes: Range<usize>,
        stored: Stored,
        [rows, columns]: [usize; 2],
    ) -> Self {
        let row_bytes = stored.bytes(columns).expect("rows are whole blocks");
        assert_eq!(bytes.len(), rows * row_bytes);
        assert!(bytes.end <= file.len());
        Self {
            file,
            bytes,
            stored,
            rows,
            columns,
            row_bytes,
            order: Order::Rows,
        }
    }

    /// The same elements, stored with a row for each input instead: column by column.
    pub(crate) fn by_input(self) -> Self {
        Self {
            order: Order::Columns,
            ..self
        }
    }

    /// The same rows, of which each head's stand in pairs that are rotated together: llama.cpp's order
    /// of queries and keys. Row i of a head is here the one of Hugging Face's order.
    ///
    /// # Panics
    /// When the rows are not so many heads of an even number.
    pub(crate) fn with_paired_heads(self, heads: usize) -> Self {
        assert!(self.rows.is_multiple_of(2 * heads));
        Self {
            order: Order::Paired(self.rows / heads),
            ..self
        }
    }

    /// Whether both have the same elements, in whatever format and order they are stored.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let mut rows = [self, other].map(|matrix| (matrix, vec![0.0; matrix.columns]));
        self.rows == other.rows
            && (0..self.rows).all(|row| {
                for (matrix, values) in &mut rows {
                    matrix.read_row(row, values);
                }
                let [(_, a), (_, b)] = &rows;
                a.iter()
                    .map(|x| x.to_bits())
                    .eq(b.iter().map(|x| x.to_bits()))
            })
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

    /// Rows as they lie in the file, where they lie there one after the other and element by element.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn stored_rows(&self, rows: Range<usize>) -> Option<(Stored, &[u8])> {
        let row = self.row_bytes;
        let bytes = &self.file[self.bytes.clone()];
        let plain = self.order == Order::Rows && !matches!(self.stored, Stored::Blocks(_));
        plain.then(|| (self.stored, &bytes[rows.start * row..rows.end * row]))
    }

    /// Upcasts row `row` of a matrix that is stored row by row.
    #[inline(always)]
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        self.read(row, 0..self.columns, out);
    }

    #[inline(always)]
    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let row = match self.order {
            Order::Paired(head) => {
                let (start, i) = (row / head * head, row % head);
                start + i % (head / 2) * 2 + i / (head / 2)
            }
            Order::Rows | Order::Columns => row,
        };
        let length = self.row_bytes;
        let bytes = &self.file[self.bytes.clone()][row * length..(row + 1) * length];
        self.stored
            .read(bytes, columns.start, &mut out[..columns.len()]);
    }

    /// Upcasts rows `first..` as the columns of `panel`; columns beyond the last row become 0.
    #[inline(always)]
    pub(super) fn pack(&self, first: usize, panel: &mut [[f32; COLUMNS]]) {
        const STEP: usize = 16;
        let rows = COLUMNS.min(self.rows - first);
        if rows < COLUMNS {
            panel.fill([0.0; COLUMNS]);
        }
        if self.order == Order::Columns {
            let bytes = &self.file[self.bytes.clone()];
            for (input, line) in panel.iter_mut().enumerate() {
                self.stored
                    .read(bytes, input * self.rows + first, &mut line[..rows]);
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
