//! Apple's Core Audio Format.

use super::bytes::{be32, take};
use super::convert::Mono;
use super::plain::{Kind, Plain};
use crate::error::CorpusError;
use crate::named::Named;

const IS_FLOAT: u32 = 1;
const IS_LITTLE_ENDIAN: u32 = 2;

/// What a `desc` chunk says.
struct Description {
    rate: f64,
    format: [u8; 4],
    flags: u32,
    packet: u32,
    channels: u32,
    bits: u32,
}

/// Decodes a file that begins as a CAF file.
pub(super) fn decode<'n>(named: Named<'n>, bytes: &[u8]) -> Result<Mono<'n>, CorpusError> {
    let (mut description, mut sound) = (None, None);
    let mut at = 8;
    while let (Some(id), Some(length)) = (take::<4>(bytes, at), take(bytes, at + 4)) {
        let length = i64::from_be_bytes(length);
        let rest = bytes.get(at + 12..).unwrap_or_default();
        match &id {
            b"desc" if description.is_some() => {
                return Err(named.unread("a CAF with two `desc` chunks"));
            }
            b"data" if sound.is_some() => {
                return Err(named.unread("a CAF with two `data` chunks"));
            }
            b"desc" => description = read_description(rest),
            b"data" if description.is_none() => {
                return Err(named.damaged("its data come before their description"));
            }
            b"data" => sound = Some(data(named, rest, length)?),
            _ => {}
        }
        let next = usize::try_from(length)
            .ok()
            .and_then(|n| n.checked_add(at + 12));
        at = match next {
            Some(next) => next,
            None if sound.is_some() => break,
            None => return Err(named.damaged("the length of a chunk is below 0")),
        };
    }
    if let (Some(description), Some(data)) = (description, sound) {
        return plain(named, &description, data)?.decode(named);
    }
    Err(named.damaged("it is cut, or has no `data` chunk"))
}

/// The bytes of sound behind the count of edits; to the end of the file where the length is -1.
fn data<'b>(named: Named<'_>, rest: &'b [u8], length: i64) -> Result<&'b [u8], CorpusError> {
    let body = match usize::try_from(length) {
        Ok(length) => rest.get(..length),
        Err(_) if length == -1 => Some(rest),
        Err(_) => None,
    };
    body.and_then(|body| body.get(4..)).ok_or_else(|| {
        let found = rest.len();
        named.damaged(format!(
            "it is cut: {found} of {length} bytes of sound are there"
        ))
    })
}

fn read_description(body: &[u8]) -> Option<Description> {
    Some(Description {
        rate: take(body, 0).map(f64::from_be_bytes)?,
        format: take(body, 8)?,
        flags: be32(body, 12)?,
        packet: be32(body, 16)?,
        channels: be32(body, 24)?,
        bits: be32(body, 28)?,
    })
}

fn plain<'b>(
    named: Named<'_>,
    found: &Description,
    data: &'b [u8],
) -> Result<Plain<'b>, CorpusError> {
    let channels = u16::try_from(found.channels).unwrap_or_default();
    let width = found.packet as usize / usize::from(channels.max(1));
    let kind = match &found.format {
        b"lpcm" if found.flags & IS_FLOAT != 0 => Kind::Float,
        b"lpcm" => Kind::Signed,
        b"alaw" => Kind::ALaw,
        b"ulaw" => Kind::MuLaw,
        other => {
            let name = String::from_utf8_lossy(other);
            return Err(named.unread(format!("the compression `{}`", name.escape_debug())));
        }
    };
    let law = matches!(kind, Kind::ALaw | Kind::MuLaw);
    if !law && found.bits as usize != width * 8 {
        let bits = found.bits;
        return Err(named.unread(format!("samples of {bits} bits in {width} bytes")));
    }
    Ok(Plain {
        kind,
        width,
        big_endian: found.flags & IS_LITTLE_ENDIAN == 0,
        // Rates below 1 and above 2^32 become 0 or the greatest, which are refused.
        rate: found.rate as u32,
        channels,
        data,
    })
}
