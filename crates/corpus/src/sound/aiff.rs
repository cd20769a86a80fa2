//! AIFF and AIFF-C.

use super::bytes::{be16, be32, take};
use super::chunks::{Chunks, is_streamed};
use super::convert::Mono;
use super::plain::{Kind, Plain};
use crate::error::CorpusError;
use crate::named::Named;

/// What a `COMM` chunk says.
struct Common {
    channels: u16,
    frames: u32,
    bits: u16,
    rate: u32,
    /// `NONE` in AIFF.
    compression: [u8; 4],
}

/// Decodes a file that begins as an AIFF file.
pub(super) fn decode<'n>(named: Named<'n>, bytes: &[u8]) -> Result<Mono<'n>, CorpusError> {
    let compressed = bytes.get(8..12) == Some(b"AIFC");
    let (mut common, mut sound) = (None, None);
    for chunk in Chunks::new(bytes, u32::from_be_bytes) {
        match &chunk.id {
            b"COMM" if common.is_some() => {
                return Err(named.unread("an AIFF with two `COMM` chunks"));
            }
            b"SSND" if sound.is_some() => {
                return Err(named.unread("an AIFF with two `SSND` chunks"));
            }
            b"COMM" => common = read_common(&bytes[chunk.start..], compressed),
            b"SSND" => sound = Some(chunk),
            _ => {}
        }
    }
    let common = common.ok_or_else(|| named.damaged("it is cut, or has no `COMM` chunk"))?;
    let Some(chunk) = sound else {
        if common.frames == 0 {
            return plain(named, &common, &[])?.decode(named);
        }
        return Err(named.damaged("it is cut, or has no `SSND` chunk"));
    };
    let rest = &bytes[chunk.start..];
    // A writer that could not go back leaves no number of frames, or the greatest.
    let streamed = is_streamed(chunk.length, rest.len())
        || (chunk.length <= 8 && common.frames == 0 && be32(bytes, 4) == Some(0));
    let offset = be32(rest, 0).unwrap_or_default() as usize + 8;
    let length = chunk.length as usize;
    let body = if streamed {
        Some(rest)
    } else {
        rest.get(..length)
    };
    let data = body.and_then(|body| body.get(offset..)).ok_or_else(|| {
        let found = rest.len();
        named.damaged(format!(
            "it is cut: {found} of {length} bytes of sound are there"
        ))
    })?;
    let sound = plain(named, &common, data)?;
    let frames = common.frames as usize;
    if streamed {
        return sound.decode(named);
    }
    let data = data.get(..frames.saturating_mul(sound.frame()));
    let data = data.ok_or_else(|| {
        named.damaged(format!(
            "its sound has not the {frames} frames that it should have"
        ))
    })?;
    Plain { data, ..sound }.decode(named)
}

fn read_common(body: &[u8], compressed: bool) -> Option<Common> {
    Some(Common {
        channels: be16(body, 0)?,
        frames: be32(body, 2)?,
        bits: be16(body, 6)?,
        rate: whole(take(body, 8)?),
        compression: if compressed {
            take(body, 18)?
        } else {
            *b"NONE"
        },
    })
}

/// An 80-bit float as a whole number; 0 if it is not above 0 or not below 2^32.
fn whole(bytes: [u8; 10]) -> u32 {
    let [high, low, mantissa @ ..] = bytes;
    let exponent = i32::from(u16::from_be_bytes([high, low])) - 16383;
    let mantissa = u64::from_be_bytes(mantissa);
    match exponent {
        0..32 => (mantissa >> (63 - exponent)) as u32,
        _ => 0,
    }
}

fn plain<'b>(named: Named<'_>, common: &Common, data: &'b [u8]) -> Result<Plain<'b>, CorpusError> {
    let width = usize::from(common.bits).div_ceil(8);
    let (kind, width, big_endian) = match &common.compression.map(|b| b.to_ascii_lowercase()) {
        b"none" | b"twos" => (Kind::Signed, width, true),
        b"sowt" => (Kind::Signed, width, false),
        b"in24" => (Kind::Signed, 3, true),
        b"42ni" => (Kind::Signed, 3, false),
        b"in32" => (Kind::Signed, 4, true),
        b"23ni" => (Kind::Signed, 4, false),
        b"raw " => (Kind::Unsigned, width, true),
        b"fl32" => (Kind::Float, 4, true),
        b"fl64" => (Kind::Float, 8, true),
        b"alaw" => (Kind::ALaw, 1, true),
        b"ulaw" => (Kind::MuLaw, 1, true),
        other => {
            let name = String::from_utf8_lossy(other);
            return Err(named.unread(format!("the compression `{}`", name.escape_debug())));
        }
    };
    Ok(Plain {
        kind,
        width,
        big_endian,
        rate: common.rate,
        channels: common.channels,
        data,
    })
}
