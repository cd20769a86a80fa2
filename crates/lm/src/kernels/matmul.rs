//! Matrix products on slices, on the calling thread.

/// A borrowed matrix with any strides, in elements.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, each row contiguous, `stride` elements from row to row.
    pub(super) fn rows(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }
}

/// Elements that a matrix with these strides reaches over.
fn extent(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1) * row_stride + (columns - 1) * column_stride + 1
}

/// `out = lhs · rhs`, with `out` of shape `[lhs.rows, rhs.columns]` and contiguous rows that are
/// `out_stride` elements apart.
///
/// # Panics
/// When a slice is too short for its matrix or the inner sizes differ.
pub(super) fn matmul(out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>) {
    assert_eq!(lhs.columns, rhs.rows);
    assert!(out_stride >= rhs.columns);
    assert!(out.len() >= extent(lhs.rows, rhs.columns, out_stride, 1));
    for m in [lhs, rhs] {
        assert!(m.data.len() >= extent(m.rows, m.columns, m.row_stride, m.column_stride));
    }
    multiply(out, out_stride, lhs, rhs);
}

#[expect(unsafe_code, reason = "the gemm crate takes pointers")]
fn multiply(out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>) {
    // SAFETY: `matmul` has checked that every element of the three matrices lies in its slice; `out`
    // is borrowed mutably and its rows do not overlap, so nothing aliases it.
    unsafe {
        gemm::gemm(
            lhs.rows,
            rhs.columns,
            lhs.columns,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            false,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_operands_are_multiplied() {
        let lhs = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0];
        let rhs = [5.0, 6.0, 7.0, 8.0];
        let mut out = [0.0; 6];
        let lhs = Matrix::rows(&lhs, 2, 2, 3);
        matmul(&mut out, 3, lhs, Matrix::rows(&rhs, 2, 2, 2));
        assert_eq!(out, [19.0, 22.0, 0.0, 43.0, 50.0, 0.0]);
    }
}
