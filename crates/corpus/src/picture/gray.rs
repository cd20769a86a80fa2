//! Colours to 8-bit gray.
//!
//! One rule, which is PIL's `convert("L")`: of 16 bits the high 8 are taken, transparency is ignored,
//! gray stays as it is, and a colour becomes its Rec. 601 luma in PIL's integers.

use image::DynamicImage;

/// The gray values of a picture, row by row; none of a picture with floating-point samples.
pub(super) fn luma(picture: DynamicImage) -> Option<Vec<u8>> {
    Some(match picture {
        DynamicImage::ImageLuma8(p) => p.into_raw(),
        DynamicImage::ImageLumaA8(p) => p.pixels().map(|p| p.0[0]).collect(),
        DynamicImage::ImageLuma16(p) => p.pixels().map(|p| high(p.0[0])).collect(),
        DynamicImage::ImageLumaA16(p) => p.pixels().map(|p| high(p.0[0])).collect(),
        DynamicImage::ImageRgb8(p) => p.pixels().map(|p| luma_of(p.0)).collect(),
        DynamicImage::ImageRgba8(p) => p.pixels().map(|p| opaque(p.0)).collect(),
        DynamicImage::ImageRgb16(p) => p.pixels().map(|p| luma_of(p.0.map(high))).collect(),
        DynamicImage::ImageRgba16(p) => p.pixels().map(|p| opaque(p.0.map(high))).collect(),
        _ => return None,
    })
}

fn high(sample: u16) -> u8 {
    (sample >> 8) as u8
}

fn opaque([r, g, b, _]: [u8; 4]) -> u8 {
    luma_of([r, g, b])
}

/// Luma of a colour.
pub(super) fn luma_of([r, g, b]: [u8; 3]) -> u8 {
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
}
