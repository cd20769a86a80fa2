//! MP3.
//!
//! MP3 has no checksum of its sound, and symphonia's demuxer skips what is no frame; so all frames are
//! walked first: each must begin where the one before ends, and be as many as a Xing header says.

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::default::codecs::MpaDecoder;
use symphonia::default::formats::MpaReader;

use super::bytes::{be32, take};
use super::convert::Mono;
use super::{stream, tags};
use crate::error::CorpusError;
use crate::named::Named;

/// Kilobits a second of layer 3, MPEG-1 and MPEG-2.
const BITRATES: [[u32; 15]; 2] = [
    [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
/// Samples a second of MPEG-1; of MPEG-2 half, and of MPEG-2.5 a quarter of that.
const RATES: [u32; 3] = [44_100, 48_000, 32_000];

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Header {
    mpeg_1: bool,
    rate: u32,
    mono: bool,
    has_crc: bool,
    /// Bytes of the whole frame.
    size: usize,
}

/// Decodes a file that begins as an MPEG frame.
pub(super) fn decode<'n>(named: Named<'n>, bytes: &[u8]) -> Result<Mono<'n>, CorpusError> {
    let bytes = tags::without_end(bytes);
    let first = check(named, bytes)?;
    let failed = |e| stream::failed(named, &e);
    let source = stream::source(bytes, &[]);
    let mut reader = MpaReader::try_new(source, FormatOptions::default()).map_err(failed)?;
    let parameters = reader.tracks()[0].codec_params.clone();
    let parameters = parameters.as_ref().and_then(|p| p.audio());
    let parameters = parameters.ok_or_else(|| named.damaged("it holds no sound"))?;
    // The silence that the encoder put at both ends is cut off where a LAME header says how long it is.
    let options = AudioDecoderOptions::default().gapless(true);
    let mut decoder = MpaDecoder::try_new(parameters, &options).map_err(failed)?;
    let mut mono = Mono::new(named, first.rate)?;
    stream::drain(named, &mut reader, &mut decoder, &mut mono, &mut |_| ())?;
    Ok(mono)
}

/// Checks that the file is nothing but whole frames of one kind, and returns the first one's header.
fn check(named: Named<'_>, bytes: &[u8]) -> Result<Header, CorpusError> {
    let first = header(bytes).map_err(|reason| named.unread_or_damaged(0, reason))?;
    let declared = declared(&first, bytes);
    let (mut at, mut frames) = (0, 0u32);
    while at < bytes.len() {
        let next = header(&bytes[at..]).map_err(|reason| named.unread_or_damaged(at, reason))?;
        if (next.mpeg_1, next.rate) != (first.mpeg_1, first.rate) {
            return Err(named.damaged(format!("the frame at byte {at} is of another kind")));
        }
        if next.size > bytes.len() - at {
            return Err(named.damaged(format!("it is cut in the frame at byte {at}")));
        }
        at += next.size;
        frames += 1;
    }
    // The frame that says it is not one of them; a VBRI header may count it all the same.
    let found = frames - 1;
    match declared {
        Some(Declared { frames: n, exact }) if n != found && (exact || n != frames) => {
            let reason = format!("it holds {found} frames, its header says {n}");
            Err(named.damaged(reason))
        }
        _ => Ok(first),
    }
}

impl Named<'_> {
    fn unread_or_damaged(&self, at: usize, fault: Fault) -> CorpusError {
        match fault {
            Fault::Unread(found) => self.unread(found),
            Fault::Damaged if at == 0 => self.damaged("it does not begin with a frame"),
            Fault::Damaged => self.damaged(format!("no frame begins at byte {at}")),
        }
    }
}

/// Why the bytes are no header of a frame.
enum Fault {
    Damaged,
    Unread(&'static str),
}

fn header(bytes: &[u8]) -> Result<Header, Fault> {
    let [sync, kind, rates, mode] = take(bytes, 0).ok_or(Fault::Damaged)?;
    if sync != 0xFF || kind & 0xE0 != 0xE0 {
        return Err(Fault::Damaged);
    }
    let shift = match kind >> 3 & 3 {
        0 => 2,
        2 => 1,
        3 => 0,
        _ => return Err(Fault::Damaged),
    };
    match kind >> 1 & 3 {
        1 => {}
        0 => return Err(Fault::Damaged),
        _ => return Err(Fault::Unread("MPEG layer 1 or 2")),
    }
    let rate = RATES
        .get(usize::from(rates >> 2 & 3))
        .ok_or(Fault::Damaged)?
        >> shift;
    let of_version = &BITRATES[usize::from(shift > 0)];
    let bitrate = match of_version.get(usize::from(rates >> 4)) {
        None => return Err(Fault::Damaged),
        Some(0) => return Err(Fault::Unread("MP3 of a free bitrate")),
        Some(bitrate) => bitrate * 1000,
    };
    let slots = if shift > 0 { 72 } else { 144 };
    let padding = u32::from(rates >> 1 & 1);
    Ok(Header {
        mpeg_1: shift == 0,
        rate,
        mono: mode >> 6 == 3,
        has_crc: kind & 1 == 0,
        size: (slots * bitrate / rate + padding) as usize,
    })
}

/// A number of frames, and whether it surely leaves out the frame that says it.
struct Declared {
    frames: u32,
    exact: bool,
}

/// The number of frames by the Xing, Info or VBRI header in the first frame.
fn declared(first: &Header, bytes: &[u8]) -> Option<Declared> {
    let frame = bytes.get(..first.size)?;
    let side = match (first.mpeg_1, first.mono) {
        (true, false) => 32,
        (false, true) => 9,
        _ => 17,
    };
    let xing = 4 + side + if first.has_crc { 2 } else { 0 };
    let (frames, exact) = if matches!(&take::<4>(frame, xing)?, b"Xing" | b"Info") {
        let has_count = be32(frame, xing + 4)? & 1 == 1;
        (has_count.then(|| be32(frame, xing + 8)).flatten()?, true)
    } else if &take::<4>(frame, 36)? == b"VBRI" {
        (be32(frame, 36 + 14)?, false)
    } else {
        return None;
    };
    Some(Declared { frames, exact })
}
