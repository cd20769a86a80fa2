//! What damaged and foreign GGUF files say.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use cpipe_lm::{Model, Sequence};

fn fixture() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf-llama/model.gguf");
    std::fs::read(path).unwrap()
}

/// What loading a file of these bytes says; nothing when it loads and scores.
fn refusal(bytes: &[u8]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    match Model::load_dir(dir.path()) {
        Ok(model) => {
            model.log_probs(&[Sequence::whole(&[1, 2, 3])]).unwrap();
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// The file with the first `from` replaced; both are equally long.
fn with(from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fixture();
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn a_cut_file_is_refused_wherever_it_ends() {
    let whole = fixture();
    assert_eq!(refusal(&whole), None);
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        let told = refusal(&whole[..length]).unwrap();
        assert!(told.contains("model.gguf"), "{length}: {told}");
    }
}

#[test]
fn a_flipped_byte_of_the_header_is_no_panic() {
    let whole = fixture();
    let header = 2500;
    for at in 0..header {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        // A changed constant still makes a model; what counts is that nothing panics.
        let _ = refusal(&bytes);
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let told = |from: &[u8], to: &[u8]| refusal(&with(from, to)).unwrap();
    let error = told(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0gemma");
    assert!(
        error.contains("architecture `gemma` is not supported in GGUF: expected llama or qwen2"),
        "{error}"
    );
    let error = told(b"GGUF\x03", b"GGUF\x01");
    assert!(error.contains("GGUF version 1, expected 2 or 3"), "{error}");
    let error = told(b"blk.0.attn_q.weight", b"blk.0.attn_x.weight");
    assert!(
        error.contains("`model.layers.0.self_attn.q_proj.weight` of shape [64, 64] is missing"),
        "{error}"
    );
    // Its type stands behind the name, the number of dimensions and two dimensions: 8 is Q8_0, 10 Q2_K.
    let name = b"blk.0.attn_k.weight";
    let mut bytes = fixture();
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4 + 16;
    bytes[at] = 10;
    let error = refusal(&bytes).unwrap();
    assert!(error.contains("has GGML type 10, expected F32"), "{error}");
}

#[test]
fn two_files_are_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a.gguf", "b.gguf"];
    let files: BTreeMap<String, _> = names
        .iter()
        .map(|n| ((*n).to_owned(), dir.path().join(n)))
        .collect();
    let error = Model::load(&files).err().unwrap().to_string();
    assert!(error.contains("`b.gguf` is beside it"), "{error}");
}
