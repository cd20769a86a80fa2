//! Whether a picture's file is whole, where its decoder does not look.

use flate2::Crc;
use image::ImageFormat;

use super::bmp;

/// What is wrong with a file.
type Fault = String;

const CUT: &str = "it is cut";

/// Checks what `image` passes over: the checksums of a PNG, and whether a file has its end.
pub(super) fn check(format: ImageFormat, bytes: &[u8]) -> Result<(), Fault> {
    match format {
        ImageFormat::Png => png(bytes),
        ImageFormat::WebP => webp(bytes),
        ImageFormat::Gif => gif(bytes),
        ImageFormat::Bmp if bmp::is_cut(bytes) => Err(CUT.to_owned()),
        _ => Ok(()),
    }
}

/// All chunks up to `IEND`, each with its checksum.
fn png(bytes: &[u8]) -> Result<(), Fault> {
    let mut at = 8;
    loop {
        let length = be32(bytes, at).ok_or(CUT)? as usize;
        let end = length.checked_add(at + 8).ok_or(CUT)?;
        let (covered, sum) = (bytes.get(at + 4..end), be32(bytes, end));
        let (covered, sum) = covered.zip(sum).ok_or(CUT)?;
        let mut crc = Crc::new();
        crc.update(covered);
        if crc.sum() != sum {
            let name = covered[..4].escape_ascii();
            return Err(format!(
                "the checksum of its `{name}` chunk at byte {at} is wrong"
            ));
        }
        if covered.starts_with(b"IEND") {
            return Ok(());
        }
        at = end + 4;
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*four))
}

/// The container says how long it is.
fn webp(bytes: &[u8]) -> Result<(), Fault> {
    let four = bytes
        .get(4..)
        .and_then(<[u8]>::first_chunk::<4>)
        .ok_or(CUT)?;
    let (length, found) = (u32::from_le_bytes(*four), bytes.len().saturating_sub(8));
    if found < length as usize {
        return Err(format!("it is cut: {found} of {length} bytes are there"));
    }
    Ok(())
}

/// All blocks up to the trailer.
fn gif(bytes: &[u8]) -> Result<(), Fault> {
    let size = |at: usize| bytes.get(at..at + 4);
    let mut frames = 0;
    let table = |flags: u8| {
        if flags & 0x80 == 0 {
            0
        } else {
            6 << (flags & 7)
        }
    };
    let mut at = 13 + table(*bytes.get(10).ok_or(CUT)?);
    loop {
        at = match bytes.get(at).ok_or(CUT)? {
            0x3B => return Ok(()),
            0x21 => at + 2,
            // The descriptor of an image, its colours, and the width of its codes.
            0x2C => {
                frames += 1;
                if frames == 1 && (size(at + 1) != Some(&[0; 4]) || size(at + 5) != size(6)) {
                    return Err("its first frame does not cover the picture".to_owned());
                }
                at + 11 + table(*bytes.get(at + 9).ok_or(CUT)?)
            }
            _ => return Err(format!("no block begins at byte {at}")),
        };
        loop {
            let length = usize::from(*bytes.get(at).ok_or(CUT)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}
