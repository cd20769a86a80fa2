//! WAV: RIFF, and RF64 or BW64 for more than 4 GiB.
//!
//! Symphonia 0.6's own reader is not used: it reads a cut file to its end without a word, and refuses
//! what many programs write (a RIFF length of 0, `fmt ` chunks of other lengths, RF64).

use super::bytes::{le16, le32, le64, take};
use super::chunks::{Chunk, Chunks, is_streamed};
use super::convert::Mono;
use super::plain::{Kind, Plain};
use crate::error::CorpusError;
use crate::named::Named;

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xFFFE;
const TWO_FORMATS: &str = "a WAV with two `fmt ` chunks";

/// Bytes 2 to 16 of the GUIDs that stand for format numbers: Microsoft's, and that of B-format.
const GUIDS: [[u8; 14]; 2] = [
    *b"\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71",
    *b"\0\0\x21\x07\xD3\x11\x86\x44\xC8\xC1\xCA\0\0\0",
];

/// What a `fmt ` chunk says.
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    /// Bytes of a frame.
    align: u16,
    bits: u16,
}

/// Decodes a file that begins as a WAV file.
pub(super) fn decode<'n>(named: Named<'n>, bytes: &[u8]) -> Result<Mono<'n>, CorpusError> {
    let mut format = None;
    let mut long = None;
    for chunk in Chunks::new(bytes, u32::from_le_bytes) {
        match &chunk.id {
            b"ds64" => long = le64(bytes, chunk.start + 8),
            b"fmt " if format.is_some() => return Err(named.unread(TWO_FORMATS)),
            b"fmt " => format = Some(read_format(named, bytes, &chunk)?),
            b"data" => {
                let format =
                    format.ok_or_else(|| named.damaged("its data come before the `fmt ` chunk"))?;
                let (data, streamed) = data(named, bytes, &chunk, long)?;
                if !streamed {
                    check_behind(named, bytes, chunk.start, data.len())?;
                }
                let sound = plain(named, &format, data)?;
                if !streamed && data.len() % sound.frame().max(1) != 0 {
                    return Err(named.damaged("its data end inside a frame"));
                }
                return sound.decode(named);
            }
            _ => {}
        }
    }
    Err(named.damaged("it is cut, or has no `data` chunk"))
}

/// Refuses what makes it unclear which sound a file holds: more of it, or bytes that nothing describes
/// behind a sound that has no length.
fn check_behind(
    named: Named<'_>,
    bytes: &[u8],
    start: usize,
    length: usize,
) -> Result<(), CorpusError> {
    let end = (start + length).next_multiple_of(2);
    let behind = || Chunks::from(bytes, u32::from_le_bytes, end);
    for chunk in behind() {
        match &chunk.id {
            b"fmt " => return Err(named.unread(TWO_FORMATS)),
            b"data" => return Err(named.unread("a WAV with two `data` chunks")),
            _ => {}
        }
    }
    if length == 0 && !behind().are_all() {
        let found = bytes.len() - start;
        return Err(named.unread(format!(
            "a WAV whose `data` chunk declares 0 bytes and has {found} bytes behind it that are no chunk"
        )));
    }
    Ok(())
}

fn read_format(named: Named<'_>, bytes: &[u8], chunk: &Chunk) -> Result<Format, CorpusError> {
    let end = chunk.start.saturating_add(chunk.length as usize);
    let body = bytes
        .get(chunk.start..end)
        .ok_or_else(|| named.damaged("it is cut in its `fmt ` chunk"))?;
    let basic = || {
        Some(Format {
            tag: le16(body, 0)?,
            channels: le16(body, 2)?,
            rate: le32(body, 4)?,
            align: le16(body, 12)?,
            bits: le16(body, 14)?,
        })
    };
    let mut format = basic().ok_or_else(|| named.damaged("its `fmt ` chunk is too short"))?;
    if format.tag == EXTENSIBLE {
        let guid = take::<16>(body, 24).ok_or_else(|| {
            named.damaged("its `fmt ` chunk is too short for an extensible format")
        })?;
        let known = GUIDS.iter().any(|tail| guid.ends_with(tail));
        if !known {
            return Err(named.unread("a format that only a GUID names"));
        }
        format.tag = u16::from_le_bytes([guid[0], guid[1]]);
    }
    Ok(format)
}

/// The bytes of the `data` chunk; all to the end of the file, and true, if its writer did not know the
/// length.
fn data<'b>(
    named: Named<'_>,
    bytes: &'b [u8],
    chunk: &Chunk,
    long: Option<u64>,
) -> Result<(&'b [u8], bool), CorpusError> {
    let rest = &bytes[chunk.start..];
    let riff = le32(bytes, 4).unwrap_or_default();
    let closed = riff != 0 && riff != u32::MAX && riff as usize + 8 > chunk.start;
    let length = match (chunk.length, long) {
        (u32::MAX, Some(long)) => long,
        (0, _) if !closed => return Ok((rest, true)),
        (length, _) if is_streamed(length, rest.len()) => return Ok((rest, true)),
        (length, _) => u64::from(length),
    };
    let whole = usize::try_from(length).ok().and_then(|n| rest.get(..n));
    whole.map(|data| (data, false)).ok_or_else(|| {
        let found = rest.len();
        named.damaged(format!(
            "it is cut: {found} of {length} bytes of sound are there"
        ))
    })
}

/// Bits that are not valid are the low ones, and 0; so all bits of the container are taken.
fn plain<'b>(named: Named<'_>, format: &Format, data: &'b [u8]) -> Result<Plain<'b>, CorpusError> {
    let width = usize::from(format.bits).div_ceil(8);
    let kind = match format.tag {
        PCM if width == 1 => Kind::Unsigned,
        PCM => Kind::Signed,
        FLOAT => Kind::Float,
        A_LAW => Kind::ALaw,
        MU_LAW => Kind::MuLaw,
        other => return Err(named.unread(compression(other))),
    };
    let sound = Plain {
        kind,
        width,
        big_endian: false,
        rate: format.rate,
        channels: format.channels,
        data,
    };
    if sound.frame() != usize::from(format.align) {
        let (bits, channels, align) = (format.bits, format.channels, format.align);
        return Err(named.damaged(format!(
            "{channels} channels of {bits} bits can't be {align} bytes a frame"
        )));
    }
    Ok(sound)
}

fn compression(tag: u16) -> String {
    let name = match tag {
        0x0002 => "Microsoft's ADPCM",
        0x0011 => "IMA ADPCM",
        0x0031 => "GSM 6.10",
        0x0050 => "MPEG layer 1 or 2",
        0x0055 => "MP3",
        0x00FF | 0x1600 | 0x1610 => "AAC",
        0x0161..=0x0163 => "Windows Media Audio",
        0xF1AC => "FLAC",
        _ => "an unknown compression",
    };
    format!("{name} in WAV (format 0x{tag:04x})")
}
