//! From a chunk's bytes to token ids, with a proof that the way back gives the same text.

use std::path::Path;

use cpipe_data::tokens::Mapping;
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::LmError;
use crate::coder::encode_plane;

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
    pub fn read(path: &Path, mapping: Mapping) -> Result<Self, LmError> {
        let bytes = fs_err::read(path).map_err(|e| LmError::io(path, e))?;
        // Parsed as plain JSON first: the tokenizer's own reader loses the position of an error.
        let plain: Result<Value, _> = serde_json::from_slice(&bytes);
        plain.map_err(|e| LmError::bad_file(FILE, path, format!("not JSON: {e}")))?;
        let mut inner = Tokenizer::from_bytes(&bytes)
            .map_err(|e| LmError::bad_file(FILE, path, format!("not a tokenizer: {e}")))?;
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| LmError::bad_file(FILE, path, e.to_string()))?;
        // Its only effect without special tokens would be to trim spaces off the offsets.
        inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        Ok(Self { inner, mapping })
    }

    /// Entries with added tokens: one more than the highest id, and at least their number.
    pub fn vocabulary(&self) -> u32 {
        let vocab = self.inner.get_vocab(true);
        let highest = vocab.values().max().map_or(0, |id| id + 1);
        highest.max(vocab.len() as u32)
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
        let encoding = self
            .inner
            .encode_char_offsets(text.as_str(), false)
            .map_err(|e| e.to_string())?;
        let ids = encoding.get_ids();
        let decoded = self.inner.decode(ids, false).map_err(|e| e.to_string())?;
        if decoded != text {
            return Err(difference(&text, &decoded));
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

fn difference(text: &str, decoded: &str) -> String {
    let at = text
        .chars()
        .zip(decoded.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let (sent, back) = (text.chars().nth(at), decoded.chars().nth(at));
    format!(
        "decoding its tokens does not give the text back: character {at} is {back:?} instead of {sent:?}; \
         the tokenizer's normalizer may change it, and another `mapping` may not be affected"
    )
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
