//! From a demuxer of symphonia's through a decoder, until the stream ends.

use std::io::{Cursor, Read};

use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error;
use symphonia::core::formats::FormatReader;
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource};
use symphonia::core::packet::Packet;

use super::convert::Mono;
use crate::error::CorpusError;
use crate::named::Named;

/// Two pieces of a file as one that can't be sought in, so that nothing is estimated from its length.
pub(super) fn source<'b>(head: &'b [u8], rest: &'b [u8]) -> MediaSourceStream<'b> {
    let reader = Cursor::new(head).chain(Cursor::new(rest));
    MediaSourceStream::new(
        Box::new(ReadOnlySource::new(reader)),
        MediaSourceStreamOptions::default(),
    )
}

/// Decodes all packets, and shows each to `see`.
pub(super) fn drain(
    named: Named<'_>,
    reader: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    mono: &mut Mono,
    see: &mut dyn FnMut(&Packet),
) -> Result<(), CorpusError> {
    let failed = |e| failed(named, &e);
    while let Some(packet) = reader.next_packet().map_err(failed)? {
        see(&packet);
        mono.add(&decoder.decode(&packet).map_err(failed)?)?;
    }
    Ok(())
}

/// What a decoder said, in words for a file.
pub(super) fn failed(named: Named<'_>, error: &Error) -> CorpusError {
    match error {
        Error::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            named.damaged("it ends in bytes that are no whole frame of sound")
        }
        Error::Unsupported(what) => named.unread(what),
        error => named.damaged(error),
    }
}
