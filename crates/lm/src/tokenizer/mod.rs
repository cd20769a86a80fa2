//! From a chunk's bytes to token ids, with a proof that the way back gives the same text.

mod blame;
mod check;

use std::path::Path;

use cpipe_data::tokens::Mapping;
use cpipe_engine::contain;
use tokenizers::Tokenizer;

use crate::coder::encode_plane;
use crate::{LmError, keys, pointer};

const FILE: &str = "tokenizer.json";

/// Ids of one chunk and the raw bytes that each covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokenized {
    /// Token ids.
    pub ids: Vec<u32>,
    /// One per id; sums to the chunk's length.
    pub covered: Vec<u32>,
    /// Bytes of a code that brings back the bits that the text does not hold.
    pub plane_bytes: u32,
}

/// A tokenizer together with the way bytes become text.
pub struct ChunkTokenizer {
    inner: Tokenizer,
    mapping: Mapping,
}

impl ChunkTokenizer {
    /// Reads `tokenizer.json`. Padding, truncation and post-processing in it are ignored: every
    /// token stands for bytes of the chunk.
    ///
    /// # Errors
    /// When it is damaged, has keys that are not known, or splits words at random.
    pub fn read(path: &Path, mapping: Mapping) -> Result<Self, LmError> {
        let bytes = std::fs::read(path).map_err(|e| LmError::unreadable(FILE, "tokenizer", e))?;
        let inner = parse(&bytes).map_err(|reason| LmError::bad_tokenizer(FILE, reason))?;
        Ok(Self { inner, mapping })
    }

    /// Entries with added tokens: one more than the highest id, and at least their number.
    pub fn vocabulary(&self) -> u32 {
        let vocab = self.inner.get_vocab(true);
        let highest = vocab.values().max().map_or(0, |id| id.saturating_add(1));
        highest.max(vocab.len() as u32)
    }

    /// The special tokens by their text, in the order of their ids.
    pub fn special(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder().into_iter();
        let special = added.filter(|(_, token)| token.special);
        let mut special: Vec<(u32, String)> = special.map(|(id, t)| (id, t.content)).collect();
        special.sort_unstable();
        special.into_iter().map(|(_, text)| text).collect()
    }

    /// Id of a token by its text.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Tokenizes chunk number `index` and checks that decoding gives its text back.
    pub fn encode(&self, index: usize, raw: &[u8]) -> Result<Tokenized, LmError> {
        self.encode_checked(raw).map_err(|reason| LmError::Chunk {
            chunk: index,
            reason,
        })
    }

    fn encode_checked(&self, raw: &[u8]) -> Result<Tokenized, String> {
        let text: String = raw.iter().map(|b| self.mapping.character(*b)).collect();
        let encoding = contained(|| self.inner.encode_char_offsets(text.as_str(), false))?;
        let ids = encoding.get_ids();
        let decoded = contained(|| self.inner.decode(ids, false))?;
        if decoded != text {
            return contained(|| Ok(blame::of(&self.inner, &text, ids, &decoded))).and_then(Err);
        }
        let covered = covered(encoding.get_offsets(), raw.len())?;
        Ok(Tokenized {
            ids: ids.to_vec(),
            covered,
            plane_bytes: encode_plane(raw, self.mapping.lost_bit()).len() as u32,
        })
    }
}

/// Raw bytes per token from character offsets; a character is one raw byte.
///
/// A character that several tokens share belongs to the one that begins it.
fn covered(offsets: &[(usize, usize)], length: usize) -> Result<Vec<u32>, String> {
    let mut reached = 0;
    let bytes: Vec<u32> = offsets
        .iter()
        .map(|(_, end)| {
            let from = reached;
            reached = reached.max(*end);
            (reached - from) as u32
        })
        .collect();
    if reached == length {
        Ok(bytes)
    } else {
        Err(format!("its tokens cover {reached} of {length} characters"))
    }
}

/// A tokenizer of a file's bytes, which were checked first.
fn parse(bytes: &[u8]) -> Result<Tokenizer, String> {
    pointer::refuse(bytes)?;
    // Parsed as plain JSON first: the library's own reader loses the position of an error.
    let plain = keys::parse_strictly(bytes).map_err(|e| format!("not JSON: {e}"))?;
    check::before(&plain)?;
    let mut inner = contained(|| Tokenizer::from_bytes(bytes))
        .map_err(|reason| format!("not a tokenizer: {reason}"))?;
    check::after(&plain, &inner)?;
    inner.with_padding(None);
    inner.with_truncation(None).map_err(|e| e.to_string())?;
    // Its only effect without special tokens would be to trim spaces off the offsets.
    inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    Ok(inner)
}

/// What a call of the library gives. It panics on some files that nothing rules out beforehand: that is
/// an error of the file here, and nothing of the call is used.
fn contained<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    contain(call)
        .map_err(|_| "the library for tokenizers fails on this tokenizer.json".to_owned())?
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_characters_belong_to_the_token_that_begins_them() {
        assert_eq!(
            covered(&[(0, 2), (2, 3), (2, 3), (3, 4)], 4).unwrap(),
            [2, 1, 0, 1]
        );
        assert!(covered(&[(0, 2)], 3).unwrap_err().contains("2 of 3"));
        assert_eq!(covered(&[], 0).unwrap(), Vec::<u32>::new());
    }
}
