//! Ogg with Vorbis or FLAC inside, and the checksums of its pages.
//!
//! Symphonia's demuxer skips pages that are damaged or missing; so all pages are checked first.

use symphonia::core::codecs::audio::{
    AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known,
};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::default::codecs::{FlacDecoder, VorbisDecoder};
use symphonia::default::formats::OggReader;

use super::bytes::{le32, take};
use super::convert::Mono;
use super::stream;
use crate::error::CorpusError;
use crate::named::Named;

const FIRST: u8 = 2;
const LAST: u8 = 4;

/// Decodes a file that begins as an Ogg file.
pub(super) fn decode<'n>(named: Named<'n>, bytes: &[u8]) -> Result<Mono<'n>, CorpusError> {
    check(named, bytes)?;
    let failed = |e| stream::failed(named, &e);
    let source = stream::source(bytes, &[]);
    let mut reader = OggReader::try_new(source, FormatOptions::default()).map_err(failed)?;
    let parameters = reader.tracks().first().and_then(|t| t.codec_params.clone());
    let parameters = parameters.as_ref().and_then(|p| p.audio());
    let parameters = parameters.ok_or_else(|| named.damaged("it holds no sound"))?;
    let mut mono = Mono::new(named, parameters.sample_rate.unwrap_or_default())?;
    let mut decoder = decoder(parameters).map_err(failed)?;
    stream::drain(named, &mut reader, &mut *decoder, &mut mono, &mut |_| ())?;
    if decoder.finalize().verify_ok == Some(false) {
        return Err(named.damaged("its sound has not the MD5 hash that its header says"));
    }
    Ok(mono)
}

fn decoder(parameters: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Error> {
    let options = AudioDecoderOptions::default().verify(true);
    Ok(if parameters.codec == well_known::CODEC_ID_FLAC {
        Box::new(FlacDecoder::try_new(parameters, &options)?)
    } else {
        Box::new(VorbisDecoder::try_new(parameters, &options)?)
    })
}

/// A page of an Ogg file.
struct Page<'b> {
    flags: u8,
    serial: u32,
    number: u32,
    body: &'b [u8],
    /// Bytes with the header.
    length: usize,
}

/// Checks that the pages are whole, in order, and all of one stream that this module reads.
fn check(named: Named<'_>, bytes: &[u8]) -> Result<(), CorpusError> {
    let mut at = 0;
    let mut last: Option<Page> = None;
    while at < bytes.len() {
        let page = page(&bytes[at..])
            .map_err(|reason| named.damaged(format!("the page at byte {at} {reason}")))?;
        match &last {
            None => check_codec(named, page.body)?,
            Some(_) if page.flags & FIRST != 0 => {
                return Err(named.unread("several streams in one Ogg file"));
            }
            Some(last) if last.flags & LAST != 0 || last.serial != page.serial => {
                return Err(named.damaged(format!("the page at byte {at} belongs to no stream")));
            }
            Some(last) if page.number != last.number.wrapping_add(1) => {
                return Err(named.damaged(format!("pages are missing before byte {at}")));
            }
            Some(_) => {}
        }
        at += page.length;
        last = Some(page);
    }
    if last.is_none_or(|page| page.flags & LAST == 0) {
        return Err(named.damaged("it is cut: no page is marked as the last one"));
    }
    Ok(())
}

fn check_codec(named: Named<'_>, first: &[u8]) -> Result<(), CorpusError> {
    let names: [(&[u8], &str); 4] = [
        (b"OpusHead", "Opus"),
        (b"Speex   ", "Speex"),
        (b"\x80theora", "a Theora video"),
        (b"fishead\0", "several streams in one Ogg file"),
    ];
    if let Some((_, name)) = names.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(named.unread(name));
    }
    if first.starts_with(b"\x01vorbis") || first.starts_with(b"\x7fFLAC") {
        return Ok(());
    }
    Err(named.unread("a stream that is neither Vorbis nor FLAC"))
}

fn page(bytes: &[u8]) -> Result<Page<'_>, &'static str> {
    if !bytes.starts_with(b"OggS") {
        return Err("does not begin as one");
    }
    let [_, _, _, _, _, flags] = take(bytes, 0).ok_or("is cut")?;
    let segments = usize::from(*bytes.get(26).ok_or("is cut")?);
    let table = bytes.get(27..27 + segments).ok_or("is cut")?;
    let header = 27 + segments;
    let length = header + table.iter().map(|n| usize::from(*n)).sum::<usize>();
    let body = bytes.get(header..length).ok_or("is cut")?;
    if Some(checksum(&bytes[..header], body)) != le32(bytes, 22) {
        return Err("is damaged: its checksum is another one");
    }
    let (serial, number) = (le32(bytes, 14), le32(bytes, 18));
    Ok(Page {
        flags,
        serial: serial.unwrap_or_default(),
        number: number.unwrap_or_default(),
        body,
        length,
    })
}

/// CRC-32 with Ogg's order of bits, the checksum's own bytes taken as 0.
fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let own = |i: usize| (22..26).contains(&i);
    let header = header
        .iter()
        .enumerate()
        .map(|(i, b)| if own(i) { 0 } else { *b });
    header.chain(body.iter().copied()).fold(0, |crc, byte| {
        crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 31 == 1 {
                crc << 1 ^ 0x04C1_1DB7
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};
