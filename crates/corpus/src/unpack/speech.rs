use std::io::{Cursor, Read};

use tar::Archive;

use super::UnpackError;
use super::guard::Guard;
use super::tar::file_name;
use crate::sound::duration;

/// Bytes of PCM in a second: 16 kHz, 16 bits, one channel.
const BYTES_A_SECOND: u64 = 32_000;
/// No utterance is longer than this.
const MOST_BYTES: u64 = 1 << 30;

/// Takes FLAC files from the beginning of a tar archive until they hold `wanted` bytes of PCM.
///
/// Each is numbered in front, so that name order is the order of the archive.
pub(super) fn take(reader: impl Read, wanted: u64, mut guard: Guard) -> Result<(), UnpackError> {
    let mut archive = Archive::new(reader);
    let (mut found, mut number) = (0, 0);
    for entry in archive.entries().map_err(|e| guard.damaged(&e))? {
        let entry = entry.map_err(|e| guard.damaged(&e))?;
        let name = file_name(&entry, &guard)?.unwrap_or_default();
        if !name.to_lowercase().ends_with(".flac") {
            continue;
        }
        let mut bytes = Vec::new();
        let size = entry.size();
        let read = entry.take(MOST_BYTES).read_to_end(&mut bytes);
        read.map_err(|e| guard.damaged(&e))?;
        if bytes.len() as u64 != size {
            return Err(guard.damaged(&format!("`{name}` is cut off")));
        }
        found += pcm_bytes(&bytes).map_err(|e| guard.damaged(&format!("`{name}`: {e}")))?;
        let short = name.rsplit('/').next().unwrap_or(&name);
        guard.copy(&format!("{number:05}-{short}"), Cursor::new(bytes))?;
        number += 1;
        if found >= wanted {
            return Ok(());
        }
    }
    Err(UnpackError::TooShort {
        archive: guard.archive().to_owned(),
        found,
        wanted,
    })
}

/// Bytes of PCM that a FLAC file comes to, by its header.
fn pcm_bytes(flac: &[u8]) -> Result<u64, String> {
    let (samples, rate) = duration(flac)?;
    Ok(samples.saturating_mul(BYTES_A_SECOND) / u64::from(rate.max(1)))
}
