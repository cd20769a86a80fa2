//! The inner loop of every matrix product: a few rows times a panel of columns, in registers.

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Columns of a panel.
pub(super) const COLUMNS: usize = 32;

/// `out[i] = lhs[i] · panel` for the first `rows` rows of `lhs`, which stand `stride` elements apart.
/// `panel` has one line of columns for each element of such a row.
#[inline(always)]
pub(super) fn tile<const N: usize>(
    lhs: &[f32],
    stride: usize,
    rows: usize,
    panel: &[[f32; N]],
    out: &mut [[f32; N]; ROWS],
) {
    if rows == ROWS {
        *out = block::<ROWS, N>(lhs, stride, panel);
        return;
    }
    for (i, out) in out[..rows].iter_mut().enumerate() {
        [*out] = block::<1, N>(&lhs[i * stride..], stride, panel);
    }
}

#[inline(always)]
fn block<const M: usize, const N: usize>(
    lhs: &[f32],
    stride: usize,
    panel: &[[f32; N]],
) -> [[f32; N]; M] {
    let rows: [&[f32]; M] = std::array::from_fn(|i| &lhs[i * stride..i * stride + panel.len()]);
    let mut sums = [[0.0; N]; M];
    for (t, line) in panel.iter().enumerate() {
        for i in 0..M {
            let x = rows[i][t];
            for j in 0..N {
                sums[i][j] = x.mul_add(line[j], sums[i][j]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        let value = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 333.0;
        let lhs: Vec<f32> = (0..ROWS * 50).map(value).collect();
        let panel: Vec<[f32; COLUMNS]> = (0..47)
            .map(|t| std::array::from_fn(|j| value(t * 31 + j)))
            .collect();
        let (mut whole, mut part) = ([[0.0; COLUMNS]; ROWS], [[0.0; COLUMNS]; ROWS]);
        tile(&lhs, 50, ROWS, &panel, &mut whole);
        tile(&lhs, 50, ROWS - 1, &panel, &mut part);
        assert_eq!(whole[..ROWS - 1], part[..ROWS - 1]);
        for (i, row) in whole.iter().enumerate() {
            for (j, x) in row.iter().enumerate() {
                let exact = |t: usize| f64::from(lhs[i * 50 + t]) * f64::from(panel[t][j]);
                let exact: f64 = (0..panel.len()).map(exact).sum();
                assert!((f64::from(*x) - exact).abs() < 1e-4, "{x} {exact}");
            }
        }
    }
}
