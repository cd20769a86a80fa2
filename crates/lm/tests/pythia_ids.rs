//! Token ids of real data by Pythia's own tokenizer, against the Python package (`make_id_fixture.py`).

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::path::{Path, PathBuf};

use cpipe_data::tokens::Mapping;
use cpipe_lm::ChunkTokenizer;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Expected {
    tokenizers: String,
    tokens: usize,
    /// Eight hex digits for each chunk, over all its ids.
    whole: String,
    /// The same over its first 1,024 ids.
    cut: String,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Tokens of every chunk; none where the data is absent, which may not be in the repository.
fn tokens() -> Option<Vec<Vec<u32>>> {
    let shared = here("../../../shared/data");
    let tokenizer = shared.join("pythia-tokenizer/tokenizer.json");
    let raw = std::fs::read(shared.join("enwik8-head/enwik8.head"));
    let (true, Ok(raw)) = (tokenizer.exists(), raw) else {
        eprintln!("skipped: no real tokenizer or data in {}", shared.display());
        return None;
    };
    let tokenizer = ChunkTokenizer::read(&tokenizer, Mapping::Mask7).unwrap();
    assert_eq!(tokenizer.vocabulary(), 50_277);
    let encode = |(i, chunk): (usize, &[u8])| {
        let tokens = tokenizer.encode(i, chunk).unwrap();
        assert_eq!(tokens.covered.iter().sum::<u32>(), 2048);
        tokens.ids
    };
    Some(raw.chunks_exact(2048).enumerate().map(encode).collect())
}

fn digest(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let hash = Sha256::digest(&bytes);
    let first = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    format!("{first:08x}")
}

#[test]
fn ids_and_their_statistics_are_those_of_the_python_package() {
    let Some(tokens) = tokens() else { return };
    let text = std::fs::read(here("tests/fixtures/pythia-ids.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&text).unwrap();
    assert!(!expected.tokenizers.is_empty());
    for (i, ids) in tokens.iter().enumerate() {
        let place = 8 * i..8 * i + 8;
        assert_eq!(digest(ids), expected.whole[place.clone()], "chunk {i}");
        let cut = &ids[..ids.len().min(1024)];
        assert_eq!(digest(cut), expected.cut[place], "chunk {i}, cut");
    }
    assert_eq!(8 * tokens.len(), expected.whole.len());
    let mut lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    let total: usize = lengths.iter().sum();
    assert_eq!(total, expected.tokens);
    // Mean, 95th percentile and maximum as measured with the real tokenizer on this data.
    let mean = total as f64 / lengths.len() as f64;
    assert_eq!(
        (
            mean.round(),
            lengths[lengths.len() * 95 / 100],
            lengths[lengths.len() - 1]
        ),
        (576.0, 864, 1215)
    );
}
