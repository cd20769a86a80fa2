//! Tokenizers of every type.

use std::path::Path;

use cpipe_data::tokens::Mapping;
use cpipe_lm::{ChunkTokenizer, LmError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::change::{changes, config, damaged};
use crate::memory::{LIMIT, measured};
use crate::values::{swapped, swaps};

const CHUNK: &[u8] =
    b" the cat, the \xc3\xa9t\xe9 and the\x00 <s> 12345 words of the chunk\n\n\tthe end ";

/// Reads a file and tokenizes with it.
fn try_it(dir: &Path, bytes: &[u8]) {
    let path = dir.join("tokenizer.json");
    std::fs::write(&path, bytes).unwrap();
    let (result, bytes) = measured(|| -> Result<_, LmError> {
        let tokenizer = ChunkTokenizer::read(&path, Mapping::Latin1)?;
        let tokens = tokenizer.encode(0, CHUNK)?;
        Ok((tokens, tokenizer.vocabulary(), tokenizer.special()))
    });
    assert!(bytes < LIMIT, "{bytes} bytes");
    if let Err(error) = result {
        let error = error.to_string();
        assert!(
            error.contains("tokenizer.json") || error.contains("chunk 0"),
            "{error}"
        );
    }
}

fn try_all(whole: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    // The library panics on some of these; its reports would hide those of the test.
    std::panic::set_hook(Box::new(|_| {}));
    proptest!(config(), |(changes in changes())| try_it(dir.path(), &damaged(whole, &changes)));
    proptest!(config(), |(swaps in swaps())| try_it(dir.path(), &swapped(whole, &swaps)));
}

fn words() -> Vec<String> {
    let bytes = (0..=255).map(|b| format!("<0x{b:02X}>"));
    let letters = (' '..='~').map(String::from);
    let longer = ["▁", "th", "the", "▁the", "##t", "ca", "cat"].map(String::from);
    let all = ["<unk>", "<s>"].map(String::from).into_iter();
    all.chain(bytes).chain(letters).chain(longer).collect()
}

fn vocabulary() -> Value {
    words()
        .into_iter()
        .enumerate()
        .map(|(id, word)| (word, json!(id)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn file(model: Value, normalizer: Value, splitter: Value, decoder: Value) -> Vec<u8> {
    let token = |id: u32, text: &str| {
        json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": true,
               "normalized": false, "special": true})
    };
    let file = json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": null, "added_tokens": [token(0, "<unk>"), token(1, "<s>")],
        "normalizer": normalizer, "pre_tokenizer": splitter, "post_processor": null, "decoder": decoder, "model": model,
    });
    serde_json::to_vec_pretty(&file).unwrap()
}

#[test]
fn of_the_nano_suite() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/tokenizer/tokenizer.json");
    try_all(&std::fs::read(path).unwrap());
}

#[test]
fn of_pairs_with_bytes() {
    let merges = json!([
        ["t", "h"],
        ["th", "e"],
        ["▁", "the"],
        ["c", "a"],
        ["ca", "t"]
    ]);
    let model = json!({"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": "",
        "end_of_word_suffix": "", "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
        "vocab": vocabulary(), "merges": merges});
    let normalizer = json!({"type": "Sequence", "normalizers": [{"type": "NFKC"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "Strip", "strip_left": true, "strip_right": false}]});
    let splitter =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true});
    let decoder = json!({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    try_all(&file(model, normalizer, splitter, decoder));
}

#[test]
fn of_likely_pieces() {
    let pieces: Vec<Value> = words()
        .into_iter()
        .map(|word| json!([word, -1.5]))
        .collect();
    let model = json!({"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": pieces});
    let splitter = json!({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
        {"type": "Split", "pattern": {"Regex": "\\s+(?!\\S)|\\s"}, "behavior": "Isolated", "invert": false},
        {"type": "FixedLength", "length": 5}]});
    let normalizer = json!({"type": "Prepend", "prepend": "▁"});
    let decoder =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    try_all(&file(model, normalizer, splitter, decoder));
}

#[test]
fn of_words() {
    let model = json!({"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 20, "vocab": vocabulary()});
    let normalizer = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": true});
    let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    try_all(&file(
        model,
        normalizer,
        json!({"type": "BertPreTokenizer"}),
        decoder,
    ));
}
