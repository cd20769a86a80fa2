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
        error.contains("tensor `blk.0.attn_q.weight` of shape [64, 64] is missing"),
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

/// A value of the metadata.
enum Is {
    Text(&'static str),
    Float(f32),
    Whole(u32),
    Flag(bool),
    /// An array of so many bytes.
    Bytes(u64),
}

/// One key as the header has it.
fn entry(key: &str, value: &Is) -> Vec<u8> {
    let mut out = (key.len() as u64).to_le_bytes().to_vec();
    out.extend(key.as_bytes());
    match value {
        Is::Text(text) => {
            out.extend(8_u32.to_le_bytes());
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        }
        Is::Float(number) => {
            out.extend(6_u32.to_le_bytes());
            out.extend(number.to_le_bytes());
        }
        Is::Whole(number) => {
            out.extend(4_u32.to_le_bytes());
            out.extend(number.to_le_bytes());
        }
        Is::Flag(flag) => {
            out.extend(7_u32.to_le_bytes());
            out.push(u8::from(*flag));
        }
        Is::Bytes(count) => {
            out.extend(9_u32.to_le_bytes());
            out.extend(0_u32.to_le_bytes());
            out.extend(count.to_le_bytes());
            out.extend((0..*count).map(|_| 1));
        }
    }
    out
}

/// A file of the fixtures with more keys; the tensors' bytes move on by a whole number of alignments.
fn with_keys(fixture: &[u8], keys: &[(&str, Is)]) -> Vec<u8> {
    let mut more: Vec<u8> = keys
        .iter()
        .flat_map(|(key, value)| entry(key, value))
        .collect();
    let filler = entry("general.description", &Is::Bytes(0)).len();
    more.extend(entry(
        "general.description",
        &Is::Bytes((32 - (more.len() + filler) % 32) as u64),
    ));
    let mut bytes = fixture.to_vec();
    let count = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    bytes[16..24].copy_from_slice(&(count + keys.len() as u64 + 1).to_le_bytes());
    bytes.splice(24..24, more);
    bytes
}

fn log_probs(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.gguf"), bytes).unwrap();
    let model = Model::load_dir(dir.path()).map_err(|e| e.to_string())?;
    let scored = model.log_probs(&[Sequence::whole(&[5, 1, 2, 3, 4, 5, 6, 7, 8])]);
    Ok(scored.map_err(|e| e.to_string())?.remove(0))
}

#[test]
fn scalings_of_positions_are_read_as_llama_cpp_reads_them() {
    let plain = log_probs(&fixture()).unwrap();
    let with = |keys: &[(&str, Is)]| log_probs(&with_keys(&fixture(), keys));
    let linear = with(&[
        ("llama.rope.scaling.type", Is::Text("linear")),
        ("llama.rope.scaling.factor", Is::Float(4.0)),
    ])
    .unwrap();
    assert_ne!(linear, plain);
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        assert_eq!(with(&[(key, Is::Float(4.0))]).unwrap(), linear, "{key}");
        assert_eq!(with(&[(key, Is::Float(1.0))]).unwrap(), plain, "{key}");
        assert_eq!(with(&[(key, Is::Float(0.0))]).unwrap(), plain, "{key}");
    }
    let none = ("llama.rope.scaling.type", Is::Text("none"));
    assert_eq!(
        with(&[none, ("llama.rope.scaling.factor", Is::Float(4.0))]).unwrap(),
        plain
    );
    let yarn = with(&[("llama.rope.scaling.type", Is::Text("yarn"))]).unwrap_err();
    assert!(
        yarn.contains("`llama.rope.scaling.type` is \"yarn\", expected none or linear"),
        "{yarn}"
    );
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        let below = with(&[(key, Is::Float(-2.0))]).unwrap_err();
        let expected = format!("`{key}` is -2.0, expected a number above 0");
        assert!(below.contains(&expected), "{below}");
    }
    let two = [
        ("llama.rope.scaling.factor", Is::Float(4.0)),
        ("llama.rope.scale_linear", Is::Float(2.0)),
    ];
    let two = with(&two).unwrap_err();
    assert!(
        two.contains("`llama.rope.scaling.factor` is 4 and `llama.rope.scale_linear` is 2"),
        "{two}"
    );
}

#[test]
fn keys_are_honoured_passed_over_for_a_reason_or_refused_by_name() {
    let plain = log_probs(&fixture()).unwrap();
    let with = |key, value| log_probs(&with_keys(&fixture(), &[(key, value)]));
    for (key, value) in [
        ("general.license", Is::Text("mit")),
        ("general.base_model.0.name", Is::Text("x")),
        ("general.sampling.temp", Is::Float(0.6)),
        ("general.quantization_version", Is::Whole(2)),
        ("tokenizer.ggml.pre", Is::Text("x")),
        ("tokenizer.ggml.scores", Is::Bytes(9)),
        ("quantize.imatrix.file", Is::Text("x")),
        ("llama.rope.scaling.finetuned", Is::Flag(true)),
        ("llama.attention.value_length", Is::Whole(16)),
        ("llama.expert_used_count", Is::Whole(0)),
        ("split.count", Is::Whole(1)),
        ("mradermacher.quantize_version", Is::Text("2")),
        ("general.parameter_count", Is::Whole(7)),
        ("general.source_url", Is::Text("x")),
        ("general.quantized_by", Is::Text("x")),
    ] {
        assert_eq!(with(key, value), Ok(plain.clone()), "{key}");
    }
    for (key, value, expected) in [
        (
            "llama.logit_scale",
            Is::Float(0.5),
            "is 0.5, expected 0 or 1",
        ),
        (
            "llama.attention.causal",
            Is::Flag(false),
            "is false, expected true",
        ),
        (
            "llama.attention.value_length",
            Is::Whole(8),
            "is 8, expected 16, the elements of a head",
        ),
        (
            "llama.rope.dimension_sections",
            Is::Bytes(4),
            "is [\"4 values\"]: not known",
        ),
        (
            "llama.attention.key_length",
            Is::Bytes(4),
            "is [\"4 values\"], expected a whole number",
        ),
        (
            "llama.rms_bias",
            Is::Float(f32::NAN),
            "is \"NaN\": not known",
        ),
        ("llama.expert_used_count", Is::Whole(2), "is 2: not known"),
        (
            "general.type",
            Is::Text("adapter"),
            "is \"adapter\", expected \"model\"",
        ),
        ("general.something", Is::Whole(1), "is 1: not known"),
        (
            "clip.has_vision_encoder",
            Is::Flag(true),
            "is true: not known",
        ),
        ("split.count", Is::Whole(3), "is 3, expected 0 or 1"),
        ("llama.block_count", Is::Whole(9), "is there twice"),
    ] {
        let error = with(key, value).unwrap_err();
        assert!(error.contains(&format!("`{key}` {expected}")), "{error}");
    }
    let qwen2 = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf-qwen2/model.gguf"),
    )
    .unwrap();
    let window = |n| {
        log_probs(&with_keys(
            &qwen2,
            &[("qwen2.attention.sliding_window", Is::Whole(n))],
        ))
    };
    assert!(window(0).is_ok() && window(8).is_ok());
    let error = window(7).unwrap_err();
    assert!(error.contains("sees the last 7 positions"), "{error}");
}

#[test]
fn tensors_that_cannot_be_are_refused() {
    // Behind the name stand the number of dimensions, two of these and the type.
    let place = |bytes: &[u8], name: &[u8]| {
        bytes.windows(name.len()).position(|w| w == name).unwrap() + name.len()
    };
    let mut empty = fixture();
    let at = place(&empty, b"blk.0.attn_k.weight") + 4;
    empty[at..at + 8].copy_from_slice(&0_u64.to_le_bytes());
    let error = refusal(&empty).unwrap();
    assert!(
        error.contains("tensor `blk.0.attn_k.weight` has shape") && error.contains("at least one"),
        "{error}"
    );
    let mut shared = fixture();
    let [from, to] = ["blk.0.attn_k.weight", "blk.0.attn_v.weight"]
        .map(|name| place(&shared, name.as_bytes()) + 4 + 16 + 4);
    let offset: [u8; 8] = shared[from..from + 8].try_into().unwrap();
    shared[to..to + 8].copy_from_slice(&offset);
    let error = refusal(&shared).unwrap();
    assert!(
        error.contains("attn_k.weight` and `blk.0.attn_v.weight` overlap"),
        "{error}"
    );
    let twice = with(b"blk.0.attn_v.weight", b"blk.0.attn_k.weight");
    let error = refusal(&twice).unwrap();
    assert!(error.contains("is there twice"), "{error}");
    let bias = with(b"blk.0.attn_norm.weight", b"blk.0.attn_q_norm.bias");
    let error = refusal(&bias).unwrap();
    assert!(
        error.contains("`blk.0.attn_norm.weight`") && error.contains("missing"),
        "{error}"
    );
}

#[test]
fn tensors_have_the_names_of_the_file() {
    let narrow = |bytes: &[u8], name: &[u8], columns| {
        let mut bytes = bytes.to_vec();
        let at = bytes.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4;
        bytes[at] = columns;
        refusal(&bytes).unwrap()
    };
    let error = narrow(&fixture(), b"blk.0.ffn_up.weight", 32);
    let expected = "tensor `blk.0.ffn_up.weight` has shape";
    assert!(error.contains(expected), "{error}");
    let mixtral = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf-mixtral/model.gguf"),
    );
    let error = narrow(&mixtral.unwrap(), b"blk.0.ffn_up_exps.weight", 16);
    let expected = "tensor `blk.0.ffn_up_exps.weight` has shape";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn the_rotation_of_llama_3_is_named_and_not_to_be_ignored() {
    let (from, to) = (b"output_norm.weight", b"rope_freqs.weight");
    let mut rotation = fixture();
    let at = rotation.windows(from.len()).position(|w| w == from);
    let at = at.unwrap();
    rotation[at - 8..at].copy_from_slice(&(to.len() as u64).to_le_bytes());
    rotation.splice(at..at + from.len(), to.iter().copied());
    let error = refusal(&rotation).unwrap();
    assert!(
        error.contains("`rope_freqs.weight` scales the rotation of positions, as in Llama 3.1"),
        "{error}"
    );
    assert!(!error.contains("ignore"), "{error}");
}
