//! What the decoder of BMP does otherwise than PIL.

use image::DynamicImage;

const RUNS_OF_8_BITS: u32 = 1;
const RUNS_OF_4_BITS: u32 = 2;
const MASKS: u32 = 3;

/// What the headers say.
struct Header {
    /// Where the pixels begin.
    pixels: usize,
    width: usize,
    height: usize,
    bits: u16,
    compression: u32,
}

impl Header {
    /// None for the oldest files, which have neither runs nor pixels of 16 bits.
    fn read(bytes: &[u8]) -> Option<Self> {
        if number(bytes, 14)? < 40 {
            return None;
        }
        Some(Self {
            pixels: number(bytes, 10)? as usize,
            width: number(bytes, 18)? as usize,
            height: number(bytes, 22)?.cast_signed().unsigned_abs() as usize,
            bits: (number(bytes, 26)? >> 16) as u16,
            compression: number(bytes, 30)?,
        })
    }

    fn has_runs(&self) -> bool {
        matches!(self.compression, RUNS_OF_8_BITS | RUNS_OF_4_BITS)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*four))
}

/// Whether a run-length file ends before the mark of its end.
pub(super) fn is_cut(bytes: &[u8]) -> bool {
    let header = Header::read(bytes).filter(Header::has_runs);
    header.is_some_and(|header| leaves_pixels_out(&header, bytes).is_none())
}

/// What a file is, if it is of a kind that is not read.
pub(super) fn unread(bytes: &[u8]) -> Option<&'static str> {
    let header = Header::read(bytes)?;
    if header.has_runs() && leaves_pixels_out(&header, bytes).unwrap_or(false) {
        return Some(
            "a run-length BMP that leaves pixels out, or whose runs pass the end of a row",
        );
    }
    let sixteen = header.bits == 16 && greatest(bytes).is_none();
    sixteen.then_some("a BMP of 16 bits in other parts than 5, 5, 5 and 5, 6, 5")
}

/// Whether the runs give no colour to a pixel; none if they are cut.
fn leaves_pixels_out(header: &Header, bytes: &[u8]) -> Option<bool> {
    let (mut at, mut column, mut row) = (header.pixels, 0, 0);
    loop {
        let [first, second] = *bytes.get(at..)?.first_chunk()?;
        at += 2;
        match (first, second) {
            (0, 0) if column == header.width => (column, row) = (0, row + 1),
            (0, 1) => {
                let missing = (column, row + 1) != (header.width, header.height);
                return Some(missing && (column, row) != (0, header.height));
            }
            (0, 0 | 2) => return Some(true),
            (0, count) => {
                column += usize::from(count);
                let length = match header.compression {
                    RUNS_OF_4_BITS => usize::from(count).div_ceil(2),
                    _ => count.into(),
                };
                at += length.next_multiple_of(2);
            }
            (count, _) => column += usize::from(count),
        }
        if column > header.width || row > header.height {
            return Some(true);
        }
    }
}

/// Greatest red, green and blue of a file with 16 bits a pixel, in parts that PIL reads.
fn greatest(bytes: &[u8]) -> Option<[u16; 3]> {
    let header = Header::read(bytes).filter(|header| header.bits == 16)?;
    if header.compression != MASKS {
        return Some([31; 3]);
    }
    match [54, 58, 62].map(|at| number(bytes, at)) {
        [Some(0x7C00), Some(0x03E0), Some(0x1F)] => Some([31; 3]),
        [Some(0xF800), Some(0x07E0), Some(0x1F)] => Some([31, 63, 31]),
        _ => None,
    }
}

/// Rounds the colours of pixels that had 16 bits as PIL does, which is down, and the decoder to the
/// nearest.
pub(super) fn round_down(bytes: &[u8], picture: &mut DynamicImage) {
    let Some(greatest) = greatest(bytes) else {
        return;
    };
    let pixel = |pixel: &mut [u8]| {
        for (value, most) in pixel.iter_mut().zip(greatest) {
            let part = (u16::from(*value) * most + 127) / 255;
            *value = (part * 255 / most) as u8;
        }
    };
    match picture {
        DynamicImage::ImageRgb8(picture) => picture.pixels_mut().for_each(|p| pixel(&mut p.0)),
        DynamicImage::ImageRgba8(picture) => picture.pixels_mut().for_each(|p| pixel(&mut p.0)),
        _ => {}
    }
}
