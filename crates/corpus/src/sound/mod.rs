//! Sound to 16-bit little-endian mono PCM: WAV, AIFF, CAF, FLAC, MP3 and Ogg.
//!
//! What a file is follows from its content, not from its name. A file whose sound is cut or damaged is
//! refused wherever its format allows to see that (docs/media.md says where it does not).

mod aiff;
mod bytes;
mod caf;
mod chunks;
mod convert;
mod flac;
mod mp3;
mod ogg;
mod plain;
mod stream;
mod tags;
mod wav;

use std::path::Path;

use crate::error::CorpusError;
use crate::guard::guarded;
use crate::named::Named;
use convert::Mono;

pub(crate) use flac::duration;

/// Endings of the names of sound files, some of them of kinds that are refused by name.
pub(crate) const ENDINGS: [&str; 21] = [
    ".wav", ".wave", ".rf64", ".bw64", ".w64", ".aif", ".aiff", ".aifc", ".caf", ".flac", ".mp2",
    ".mp3", ".ogg", ".oga", ".opus", ".spx", ".au", ".snd", ".aac", ".m4a", ".mka",
];

/// What the hint of an unread kind of sound advises.
const INSTEAD: &str = "16-bit WAV or FLAC";

/// The PCM bytes of a file at `rate` samples a second.
pub(crate) fn pcm(file: &str, path: &Path, rate: u32) -> Result<Vec<u8>, CorpusError> {
    let bytes = crate::named::read(file, path)?;
    let named = |format| Named {
        file,
        format,
        instead: INSTEAD,
    };
    let sound = decode(&bytes, named)?;
    convert::to_pcm(named("sound"), sound, rate)
}

/// A reader of one format.
type Reader = for<'n> fn(Named<'n>, &[u8]) -> Result<Mono<'n>, CorpusError>;

fn decode<'f>(
    bytes: &[u8],
    named: impl Fn(&'static str) -> Named<'f>,
) -> Result<Mono<'f>, CorpusError> {
    let inner = tags::without_front(bytes);
    if let Some((format, found)) = unread(inner) {
        return Err(named(format).unread(found));
    }
    if let Some((format, read)) = reader(inner) {
        return guarded(named(format), || read(named(format), inner));
    }
    let format = by_ending(named("").file);
    let reason = match bytes {
        [] => "it is empty",
        _ if inner.is_empty() => "it ends inside the ID3 tag at its beginning, or right behind it",
        _ => "its first bytes are those of none of WAV, AIFF, CAF, FLAC, MP3 and Ogg",
    };
    Err(named(format).damaged(reason))
}

fn reader(bytes: &[u8]) -> Option<(&'static str, Reader)> {
    let form = bytes.get(8..12);
    Some(match bytes.first_chunk::<4>()? {
        b"RIFF" | b"RF64" | b"BW64" if form == Some(b"WAVE") => ("WAV", wav::decode),
        b"FORM" if matches!(form, Some(b"AIFF" | b"AIFC")) => ("AIFF", aiff::decode),
        b"caff" => ("CAF", caf::decode),
        b"fLaC" => ("FLAC", flac::decode),
        b"OggS" => ("Ogg", ogg::decode),
        [0xFF, second, ..] if second & 0xE0 == 0xE0 => ("MP3", mp3::decode),
        _ => return None,
    })
}

/// Kinds of sound files that are known and not read: format and what was found.
fn unread(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    Some(match bytes {
        [b'r', b'i', b'f', b'f', 0x2E, 0x91, 0xCF, 0x11, ..] => {
            ("Wave64", "Sony's 64-bit WAV (W64)")
        }
        [b'R', b'I', b'F', b'X', ..] => ("WAV", "a big-endian WAV (RIFX)"),
        [b'.', b's', b'n', b'd', ..] => ("AU", "Sun's sound format"),
        [b'N', b'I', b'S', b'T', b'_', b'1', b'A', ..] => ("SPHERE", "NIST's sound format"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => ("MP4", "sound in an MP4 container (M4A)"),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => ("Matroska", "sound in a Matroska or WebM container"),
        // The layer of MPEG audio is never 0; AAC's own frames have that.
        [0xFF, second, ..] if second & 0xF6 == 0xF0 => ("AAC", "AAC in ADTS frames"),
        _ => return None,
    })
}

/// What a file should be by its name.
fn by_ending(file: &str) -> &'static str {
    let lower = file.to_lowercase();
    let formats = [
        (".flac", "FLAC"),
        (".mp2", "MP3"),
        (".mp3", "MP3"),
        (".ogg", "Ogg"),
        (".oga", "Ogg"),
        (".opus", "Ogg"),
        (".spx", "Ogg"),
        (".au", "AU"),
        (".snd", "AU"),
        (".aac", "AAC"),
        (".m4a", "MP4"),
        (".mka", "Matroska"),
        (".aif", "AIFF"),
        (".aiff", "AIFF"),
        (".aifc", "AIFF"),
        (".caf", "CAF"),
    ];
    let found = formats.iter().find(|(ending, _)| lower.ends_with(ending));
    found.map_or("WAV", |(_, format)| format)
}

#[cfg(test)]
mod tests;
