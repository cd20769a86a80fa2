//! FLAC, with its checksums.

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::default::codecs::FlacDecoder;
use symphonia::default::formats::FlacReader;

use super::bytes::{be16, take};
use super::convert::Mono;
use super::{stream, tags};
use crate::error::CorpusError;
use crate::named::Named;

/// Bytes of the block that says what the sound is.
const INFO: usize = 34;

/// What the first block of metadata says.
struct StreamInfo<'b> {
    rate: u32,
    channels: u8,
    bits: u8,
    /// None in a stream whose length its encoder did not know.
    frames: Option<u64>,
    /// None if the encoder did not hash the sound.
    md5: Option<[u8; 16]>,
    block: &'b [u8],
}

/// Decodes a file that begins as a FLAC file.
pub(super) fn decode<'n>(named: Named<'n>, bytes: &[u8]) -> Result<Mono<'n>, CorpusError> {
    let bytes = tags::without_end(bytes);
    let (info, frames) = split(bytes).map_err(|reason| named.damaged(reason))?;
    let sides = info.bits == 32 && info.channels == 2;
    if sides && info.md5.is_none() {
        return Err(named.unread("32-bit stereo without an MD5 hash"));
    }
    // Only what says what the sound is: tags and pictures don't matter.
    let head = [b"fLaC\x80\0\0\x22", info.block].concat();
    let failed = |e| stream::failed(named, &e);
    let source = stream::source(&head, frames);
    let mut reader = FlacReader::try_new(source, FormatOptions::default()).map_err(failed)?;
    let parameters = reader.tracks()[0].codec_params.clone();
    let parameters = parameters.as_ref().and_then(|p| p.audio());
    let parameters = parameters.ok_or_else(|| named.damaged("it holds no sound"))?;
    let options = AudioDecoderOptions::default().verify(info.md5.is_some());
    let mut decoder = FlacDecoder::try_new(parameters, &options).map_err(failed)?;
    let mut mono = Mono::new(named, info.rate)?;
    let mut used = 0;
    let mut see = |packet: &symphonia::core::packet::Packet| used += packet.data.len();
    stream::drain(named, &mut reader, &mut decoder, &mut mono, &mut see)?;
    check(named, &info, &mono, frames.len() - used.min(frames.len()))?;
    match decoder.finalize().verify_ok {
        Some(false) if sides => Err(named.unread("32-bit stereo with 33-bit differences")),
        Some(false) => Err(named.damaged("its sound has not the MD5 hash that its header says")),
        _ => Ok(mono),
    }
}

fn check(
    named: Named<'_>,
    info: &StreamInfo,
    mono: &Mono,
    unused: usize,
) -> Result<(), CorpusError> {
    let found = mono.frames() as u64;
    if let Some(expected) = info.frames.filter(|n| *n != found) {
        let reason = format!("it holds {found} samples, its header says {expected}");
        return Err(named.damaged(reason));
    }
    if unused > 0 {
        let reason = format!("{unused} of its bytes are no whole frame of sound");
        return Err(named.damaged(reason));
    }
    Ok(())
}

/// The first block of metadata, and the frames of sound behind the last one.
fn split(bytes: &[u8]) -> Result<(StreamInfo<'_>, &[u8]), &'static str> {
    const CUT: &str = "it is cut before its sound begins";
    let info = info(bytes)?;
    let mut at = 4;
    loop {
        let [kind, size @ ..] = take::<4>(bytes, at).ok_or(CUT)?;
        let [high, middle, low] = size.map(usize::from);
        at += 4 + (high << 16 | middle << 8 | low);
        if kind & 0x80 != 0 {
            return Ok((info, bytes.get(at..).ok_or(CUT)?));
        }
    }
}

fn info(bytes: &[u8]) -> Result<StreamInfo<'_>, &'static str> {
    let block = bytes.get(8..8 + INFO).ok_or("it is cut in its header")?;
    if !bytes.starts_with(b"fLaC") || bytes[4] & 0x7F != 0 || bytes[5..8] != [0, 0, INFO as u8] {
        return Err("it does not begin with a block that says what the sound is");
    }
    let packed = u64::from_be_bytes(take(block, 10).expect("the block has 34 bytes"));
    let md5 = take(block, 18).filter(|md5| *md5 != [0; 16]);
    if be16(block, 2) < Some(16) {
        return Err("its greatest block has fewer than 16 samples");
    }
    Ok(StreamInfo {
        rate: (packed >> 44) as u32,
        channels: (packed >> 41 & 7) as u8 + 1,
        bits: (packed >> 36 & 31) as u8 + 1,
        frames: Some(packed & ((1 << 36) - 1)).filter(|n| *n > 0),
        md5,
        block,
    })
}

/// Frames and frames a second by the header of a FLAC file.
pub(crate) fn duration(flac: &[u8]) -> Result<(u64, u32), String> {
    let info = info(tags::without_front(flac))?;
    let frames = info
        .frames
        .ok_or("its header does not say how long it is")?;
    Ok((frames, info.rate))
}
