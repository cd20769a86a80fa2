//! Chunks: fixed-size records of raw bytes, and where each came from.
//!
//! Two files. `chunks.bin` is nothing but the records one after the other, so that it can be compared
//! with any other tool's cut and memory-mapped without copying. `chunks.json` holds the record size
//! and each chunk's origin.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use crate::FormatError;

/// Version of the `chunks.json` layout.
pub const VERSION: u32 = 1;
const FORMAT: &str = "chunks";

/// Where the first byte of a chunk stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Name of the source file inside the downloaded source.
    pub file: String,
    /// Byte offset in the decoded stream of that file: the file itself for text, the row-major
    /// grayscale raster for images (`y * width + x`), 16-bit mono PCM for speech.
    pub offset: u64,
}

/// What `chunks.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Layout version, [`VERSION`].
    pub version: u32,
    /// Bytes in each chunk.
    pub chunk_bytes: usize,
    /// Whole chunks that the source had, before any were chosen.
    pub available: usize,
    /// One origin per chunk, in file order.
    pub origins: Vec<Origin>,
}

/// A set of equally long chunks, memory-mapped.
#[derive(Debug)]
pub struct ChunkSet {
    header: Header,
    bytes: Mmap,
}

impl ChunkSet {
    /// Opens `chunks.bin` with its `chunks.json` and checks that they belong together.
    pub fn open(bin: &Path, json: &Path) -> Result<Self, FormatError> {
        let text = fs_err::read(json).map_err(|e| FormatError::io(json, e))?;
        let header: Header = serde_json::from_slice(&text)
            .map_err(|e| FormatError::malformed(json, FORMAT, e.to_string()))?;
        if header.version != VERSION {
            let reason = format!("version {} instead of {VERSION}", header.version);
            return Err(FormatError::malformed(json, FORMAT, reason));
        }
        if header.chunk_bytes == 0 {
            return Err(FormatError::malformed(json, FORMAT, "chunk_bytes is 0"));
        }
        let file = File::open(bin).map_err(|e| FormatError::io(bin, e))?;
        let bytes = map(&file).map_err(|e| FormatError::io(bin, e))?;
        let expected = header.origins.len() * header.chunk_bytes;
        if bytes.len() != expected {
            let reason = format!("{} bytes instead of {expected}", bytes.len());
            return Err(FormatError::malformed(bin, FORMAT, reason));
        }
        Ok(Self { header, bytes })
    }

    /// The header: record size and origins.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The chunks in file order, without copying.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.header.chunk_bytes)
    }
}

/// Writes `chunks.bin` and `chunks.json`.
///
/// # Errors
/// [`FormatError::Malformed`] when a chunk's length is not `chunk_bytes`; I/O errors otherwise.
pub fn write<'a>(
    bin: &Path,
    json: &Path,
    header: &Header,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), FormatError> {
    let mut out = std::io::BufWriter::new(File::create(bin).map_err(|e| FormatError::io(bin, e))?);
    let mut written = 0;
    for chunk in chunks {
        if chunk.len() != header.chunk_bytes {
            let reason = format!("a chunk of {} bytes", chunk.len());
            return Err(FormatError::malformed(bin, FORMAT, reason));
        }
        out.write_all(chunk).map_err(|e| FormatError::io(bin, e))?;
        written += 1;
    }
    out.flush().map_err(|e| FormatError::io(bin, e))?;
    if written != header.origins.len() {
        let reason = format!("{written} chunks but {} origins", header.origins.len());
        return Err(FormatError::malformed(bin, FORMAT, reason));
    }
    let mut text = serde_json::to_vec_pretty(header).expect("a header is plain data");
    text.push(b'\n');
    fs_err::write(json, text).map_err(|e| FormatError::io(json, e))
}

#[expect(unsafe_code, reason = "memory mapping")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: artifacts are written once and only ever replaced by rename, so the mapped file does
    // not change while it is mapped.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(chunk_bytes: usize, count: usize) -> Header {
        Header {
            version: VERSION,
            chunk_bytes,
            available: count,
            origins: (0..count)
                .map(|i| Origin {
                    file: "a.txt".into(),
                    offset: (i * chunk_bytes) as u64,
                })
                .collect(),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 16), 0..9)) {
            let dir = tempfile::tempdir().unwrap();
            let (bin, json) = (dir.path().join("chunks.bin"), dir.path().join("chunks.json"));
            write(&bin, &json, &header(16, chunks.len()), chunks.iter().map(Vec::as_slice)).unwrap();
            let read = ChunkSet::open(&bin, &json).unwrap();
            prop_assert_eq!(read.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), chunks);
        }
    }

    #[test]
    fn a_short_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (bin, json) = (
            dir.path().join("chunks.bin"),
            dir.path().join("chunks.json"),
        );
        write(&bin, &json, &header(4, 2), [&b"abcd"[..], b"efgh"]).unwrap();
        std::fs::write(&bin, b"abcdefg").unwrap();
        let error = ChunkSet::open(&bin, &json).unwrap_err().to_string();
        assert!(error.contains("7 bytes instead of 8"), "{error}");
    }

    #[test]
    fn a_chunk_of_another_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (bin, json) = (
            dir.path().join("chunks.bin"),
            dir.path().join("chunks.json"),
        );
        assert!(write(&bin, &json, &header(4, 1), [&b"abc"[..]]).is_err());
    }
}
