use std::io::{self, Read, Seek};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use zip::read::ZipFile;
use zip::{CompressionMethod, ZipArchive};

use super::UnpackError;
use super::guard::Guard;

/// Unpacks a whole ZIP archive.
pub(super) fn unpack(reader: impl Read + Seek, guard: &mut Guard) -> Result<(), UnpackError> {
    let mut archive = ZipArchive::new(reader).map_err(|e| guard.damaged(&e))?;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|e| guard.damaged(&e))?;
        if !entry.is_dir() {
            unpack_entry(entry, guard)?;
        }
    }
    Ok(())
}

fn unpack_entry<R: Read>(entry: ZipFile<'_, R>, guard: &mut Guard) -> Result<(), UnpackError> {
    let name = entry.name().map_err(|e| guard.damaged(&e))?.into_owned();
    if entry.is_symlink() {
        return Err(guard.refuse(&name, "is a link, and links are not unpacked"));
    }
    if entry.encrypted() {
        return Err(guard.refuse(&name, "is encrypted"));
    }
    let (crc, size) = (entry.crc32(), entry.size());
    if entry.compression() == CompressionMethod::Stored {
        return guard.copy(&name, Checked::new(entry, crc, size));
    }
    if entry.compression() == CompressionMethod::DEFLATE {
        let decoder = DeflateDecoder::new(entry);
        return guard.copy(&name, Checked::new(decoder, crc, size));
    }
    Err(guard.refuse(&name, "is compressed in a way that is not known here"))
}

/// A reader whose end is an error unless size and checksum are right.
struct Checked<R> {
    reader: R,
    crc: Crc,
    expected: (u32, u64),
    size: u64,
}

impl<R> Checked<R> {
    fn new(reader: R, crc: u32, size: u64) -> Self {
        Self {
            reader,
            crc: Crc::new(),
            expected: (crc, size),
            size: 0,
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.crc.update(&buffer[..count]);
        self.size += count as u64;
        if count == 0 && !buffer.is_empty() && (self.crc.sum(), self.size) != self.expected {
            let message = "an entry's size or checksum is wrong";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(count)
    }
}
