//! Tokens: the token ids of every chunk and the bytes that each token covers.
//!
//! Layout of `tokens.bin`, little-endian: the magic `cpipetok`, a `u32` header length, that many
//! bytes of JSON ([`Header`]), then `tokens` × `u32` ids and `tokens` × `u32` covered bytes.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FormatError;

/// Version of the `tokens.bin` layout.
pub const VERSION: u32 = 2;
const FORMAT: &str = "tokens";
const MAGIC: &[u8; 8] = b"cpipetok";

/// How bytes become text before they are tokenized.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mapping {
    /// `b % 128`: the high bit is lost (the paper author's code).
    Mask7,
    /// `b >> 1`: the low bit is lost (DeepMind's code for images and audio).
    Shift1,
    /// `char::from(b)`: nothing is lost; bytes from 128 take two bytes of UTF-8.
    Latin1,
}

impl Mapping {
    /// The character that stands for `byte`.
    pub fn character(self, byte: u8) -> char {
        match self {
            Self::Mask7 => char::from(byte % 128),
            Self::Shift1 => char::from(byte >> 1),
            Self::Latin1 => char::from(byte),
        }
    }

    /// The bit of a byte that the text does not hold, as a mask; 0 if it holds all of them.
    pub fn lost_bit(self) -> u8 {
        match self {
            Self::Mask7 => 1 << 7,
            Self::Shift1 => 1,
            Self::Latin1 => 0,
        }
    }

    /// Bits of `bytes` that the text no longer holds, as DeepMind's code counts them: one per byte
    /// from 128 under `mask7`, one per byte under `shift1`, none under `latin1`.
    pub fn lost_bits(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Mask7 => bytes.iter().filter(|b| **b >= 128).count() as u32,
            Self::Shift1 => bytes.len() as u32,
            Self::Latin1 => 0,
        }
    }
}

/// What is known of one chunk besides its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkInfo {
    /// Tokens in this chunk.
    pub tokens: u32,
    /// Raw bytes of the chunk, before the mapping.
    pub raw_bytes: u32,
    /// See [`Mapping::lost_bits`].
    pub lost_bits: u32,
    /// Bytes of a code that brings the lost bits back.
    pub plane_bytes: u32,
}

/// The end-of-text token that a tokenizer does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoEndOfText {
    /// Its text.
    pub named: String,
    /// The special tokens that the tokenizer has, by id.
    pub special: Vec<String>,
}

/// The JSON header of `tokens.bin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Layout version, [`VERSION`].
    pub version: u32,
    /// How bytes became text.
    pub mapping: Mapping,
    /// Entries of the tokenizer with added tokens; every id is below this.
    pub vocabulary: u32,
    /// Id of `<|endoftext|>`, which some protocols put in front.
    pub end_of_text: Option<u32>,
    /// What was looked for, if the tokenizer does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_end_of_text: Option<NoEndOfText>,
    /// One entry per chunk.
    pub chunks: Vec<ChunkInfo>,
}

/// One chunk's tokens, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct TokenizedChunk<'a> {
    /// Token ids.
    pub ids: &'a [u32],
    /// Raw bytes that each token covers; sums to `info.raw_bytes`.
    pub covered: &'a [u32],
    /// Raw size and lost bits.
    pub info: ChunkInfo,
}

/// The tokens of a set of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSet {
    header: Header,
    ids: Vec<u32>,
    covered: Vec<u32>,
}

impl TokenSet {
    /// An empty set for one tokenizer and mapping.
    pub fn new(mapping: Mapping, vocabulary: u32, end_of_text: Option<u32>) -> Self {
        Self {
            header: Header {
                version: VERSION,
                mapping,
                vocabulary,
                end_of_text,
                no_end_of_text: None,
                chunks: Vec::new(),
            },
            ids: Vec::new(),
            covered: Vec::new(),
        }
    }

    /// The same, saying which end-of-text token the tokenizer does not have.
    #[must_use]
    pub fn without_end_of_text(mut self, missing: NoEndOfText) -> Self {
        self.header.end_of_text = None;
        self.header.no_end_of_text = Some(missing);
        self
    }

    /// Adds a chunk: its raw bytes, token ids, the raw bytes each token covers, and the bytes of a
    /// code for the lost bits.
    ///
    /// # Panics
    /// When `ids` and `covered` differ in length or `covered` does not sum to the raw length; the
    /// tokenizer proves both before.
    pub fn push(&mut self, raw: &[u8], ids: &[u32], covered: &[u32], plane_bytes: u32) {
        assert_eq!(ids.len(), covered.len());
        assert_eq!(covered.iter().sum::<u32>() as usize, raw.len());
        self.header.chunks.push(ChunkInfo {
            tokens: ids.len() as u32,
            raw_bytes: raw.len() as u32,
            lost_bits: self.header.mapping.lost_bits(raw),
            plane_bytes,
        });
        self.ids.extend_from_slice(ids);
        self.covered.extend_from_slice(covered);
    }

    /// The header: mapping, vocabulary, chunk sizes.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The chunks in order.
    pub fn iter(&self) -> impl Iterator<Item = TokenizedChunk<'_>> {
        let mut start = 0;
        self.header.chunks.iter().map(move |info| {
            let range = start..start + info.tokens as usize;
            start = range.end;
            TokenizedChunk {
                ids: &self.ids[range.clone()],
                covered: &self.covered[range],
                info: *info,
            }
        })
    }

    /// Writes `tokens.bin`.
    pub fn write(&self, path: &Path) -> Result<(), FormatError> {
        let header = serde_json::to_vec(&self.header).expect("a header is plain data");
        let mut out = Vec::with_capacity(12 + header.len() + 8 * self.ids.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(header.len() as u32).to_le_bytes());
        out.extend_from_slice(&header);
        for value in self.ids.iter().chain(&self.covered) {
            out.extend_from_slice(&value.to_le_bytes());
        }
        fs_err::write(path, out).map_err(|e| FormatError::io(path, e))
    }

    /// Reads and validates `tokens.bin`.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let bytes = fs_err::read(path).map_err(|e| FormatError::io(path, e))?;
        Self::parse(&bytes).map_err(|reason| FormatError::malformed(path, FORMAT, reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("wrong magic")?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or("no header length")?;
        let (header, body) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or("the header is cut short")?;
        let header: Header = serde_json::from_slice(header).map_err(|e| e.to_string())?;
        if header.version != VERSION {
            return Err(format!("version {} instead of {VERSION}", header.version));
        }
        let total: usize = header.chunks.iter().map(|c| c.tokens as usize).sum();
        if Some(body.len()) != total.checked_mul(8) {
            return Err(format!("{} bytes for {total} tokens", body.len()));
        }
        let mut values = body
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word));
        let ids: Vec<u32> = values.by_ref().take(total).collect();
        let covered: Vec<u32> = values.collect();
        if let Some(id) = ids.iter().find(|id| **id >= header.vocabulary) {
            return Err(format!(
                "token {id} of a vocabulary of {}",
                header.vocabulary
            ));
        }
        Ok(Self {
            header,
            ids,
            covered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(chunks: &[Vec<u8>]) -> TokenSet {
        let mut set = TokenSet::new(Mapping::Mask7, 256, Some(0));
        for chunk in chunks {
            let ids: Vec<u32> = chunk.iter().map(|b| u32::from(*b)).collect();
            set.push(chunk, &ids, &vec![1; chunk.len()], 3);
        }
        set
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("tokens.bin");
            let written = set(&chunks);
            written.write(&path).unwrap();
            prop_assert_eq!(TokenSet::read(&path).unwrap(), written);
        }

        #[test]
        fn damage_is_an_error_or_other_tokens_and_never_a_panic(at in 0usize..200, value: u8, cut in 0usize..200) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("tokens.bin");
            set(&[b"hello".to_vec()]).write(&path).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let _ = TokenSet::parse(&bytes);
        }
    }

    #[test]
    fn lost_bits_are_counted_as_deepmind_counts_them() {
        let bytes = [0, 127, 128, 255];
        assert_eq!(Mapping::Mask7.lost_bits(&bytes), 2);
        assert_eq!(Mapping::Shift1.lost_bits(&bytes), 4);
        assert_eq!(Mapping::Latin1.lost_bits(&bytes), 0);
    }
}
