//! The chunks that RIFF and IFF files are made of.

use super::bytes::take;

/// A chunk's header, and where its body begins.
pub(super) struct Chunk {
    pub(super) id: [u8; 4],
    /// The length that the header declares.
    pub(super) length: u32,
    pub(super) start: usize,
}

/// Chunks one after the other, each on an even position, until the file ends.
pub(super) struct Chunks<'b> {
    bytes: &'b [u8],
    length: fn([u8; 4]) -> u32,
    at: usize,
}

impl<'b> Chunks<'b> {
    /// The chunks behind the 12 bytes that begin a RIFF or IFF file.
    pub(super) fn new(bytes: &'b [u8], length: fn([u8; 4]) -> u32) -> Self {
        Self::from(bytes, length, 12)
    }

    /// The chunks from `at` on.
    pub(super) fn from(bytes: &'b [u8], length: fn([u8; 4]) -> u32, at: usize) -> Self {
        Self { bytes, length, at }
    }

    /// Whether whole chunks with names are all that is left.
    pub(super) fn are_all(mut self) -> bool {
        let bytes = self.bytes;
        let printable = |id: &[u8]| id.iter().all(|b| matches!(b, b' '..=b'~'));
        let fits = |chunk: &Chunk| chunk.length as usize <= bytes.len().saturating_sub(chunk.start);
        self.all(|chunk| printable(&chunk.id) && fits(&chunk)) && self.at >= bytes.len()
    }
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let id = take(self.bytes, self.at)?;
        let length = (self.length)(take(self.bytes, self.at + 4)?);
        let start = self.at + 8;
        let even = u64::from(length) + u64::from(length % 2);
        self.at = usize::try_from(start as u64 + even).ok()?;
        Some(Chunk { id, length, start })
    }
}

/// Whether a program that could not go back wrote `length` for data that reach to the end of the file:
/// it is the greatest number that the program knew, and the file is shorter.
pub(super) fn is_streamed(length: u32, rest: usize) -> bool {
    length == u32::MAX || (length >= 0x7F00_0000 && rest < length as usize)
}
