//! Colours that people with any colour vision can tell apart.

use plotters::style::RGBColor;

/// Viridis at equal steps from 0 to 1: perceptually uniform and colour-blind-safe.
const VIRIDIS: [(u8, u8, u8); 11] = [
    (68, 1, 84),
    (72, 36, 117),
    (65, 68, 135),
    (53, 95, 141),
    (42, 120, 142),
    (33, 145, 140),
    (34, 168, 132),
    (68, 191, 112),
    (122, 209, 81),
    (189, 223, 38),
    (253, 231, 37),
];

/// The colour at `t` from 0 to 1.
pub(super) fn viridis(t: f64) -> RGBColor {
    let at = t.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (at as usize).min(VIRIDIS.len() - 2);
    let part = at - low as f64;
    let mix = |a: u8, b: u8| libm::round(f64::from(a) + part * (f64::from(b) - f64::from(a))) as u8;
    let ((r0, g0, b0), (r1, g1, b1)) = (VIRIDIS[low], VIRIDIS[low + 1]);
    RGBColor(mix(r0, r1), mix(g0, g1), mix(b0, b1))
}

/// One of `count` line colours; the palest end of the map is left out.
pub(super) fn line(index: usize, count: usize) -> RGBColor {
    viridis(index as f64 / count.max(2).saturating_sub(1) as f64 * 0.85)
}

/// Black or white, whichever can be read on `background`.
pub(super) fn ink_on(background: RGBColor) -> RGBColor {
    let RGBColor(r, g, b) = background;
    let luma = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    if luma > 140_000 {
        RGBColor(0, 0, 0)
    } else {
        RGBColor(255, 255, 255)
    }
}
