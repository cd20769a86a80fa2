//! The two stages as the engine calls them: outputs, resuming, and what damaged inputs say.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cpipe_data::chunks::{self, Header, Origin};
use cpipe_data::scores;
use cpipe_data::tokens::{Mapping, TokenSet};
use cpipe_engine::stage::{InputArtifact, InputNode};
use cpipe_engine::{Cell, Digest, Inputs, OutputDir, Stage, StageContext, StageError};
use cpipe_lm::{
    ChunkTokenizer, DeviceClass, Dtype, Model, Preset, Protocol, Score, ScoreParams, Tokenize,
    TokenizeParams,
};

fn nano(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../assets/nano")
        .join(path)
}

fn artifact(tag: &str, files: &[(&str, PathBuf)]) -> InputArtifact {
    InputArtifact {
        digest: Digest::of(tag.as_bytes()),
        files: files
            .iter()
            .map(|(n, p)| ((*n).to_owned(), p.clone()))
            .collect(),
    }
}

fn node<const N: usize>(outputs: [(&str, InputArtifact); N]) -> Vec<InputNode> {
    vec![InputNode {
        cell: Cell::default(),
        outputs: outputs.map(|(n, a)| (n.to_owned(), a)).into(),
    }]
}

fn inputs<const N: usize>(roles: [(&str, Vec<InputNode>); N]) -> Inputs {
    Inputs {
        roles: roles.map(|(n, nodes)| (n.to_owned(), nodes)).into(),
        ..Inputs::default()
    }
}

/// Two chunks of 2,048 bytes of an evaluation set.
fn chunk_inputs(dir: &Path, raw: &[u8], tokenizer: PathBuf) -> Inputs {
    let (bin, json) = (dir.join("chunks.bin"), dir.join("chunks.json"));
    let count = raw.len() / 2048;
    let origin = |i| Origin {
        file: "a".into(),
        offset: i,
    };
    let header = Header {
        version: chunks::VERSION,
        chunk_bytes: 2048,
        available: count,
        origins: (0..count as u64).map(origin).collect(),
    };
    chunks::write(&bin, &json, &header, raw.chunks_exact(2048)).unwrap();
    inputs([
        (
            "chunks",
            node([
                ("chunks.bin", artifact("b", &[("chunks.bin", bin)])),
                ("chunks.json", artifact("j", &[("chunks.json", json)])),
            ]),
        ),
        (
            "tokenizer",
            node([("files", artifact("t", &[("tokenizer.json", tokenizer)]))]),
        ),
    ])
}

fn context(scratch: &Path, threads: usize) -> StageContext<'_> {
    StageContext::alone(threads, scratch)
}

fn tokenize(mapping: Mapping, raw: &[u8], tokenizer: PathBuf) -> Result<TokenSet, String> {
    let dir = tempfile::tempdir().unwrap();
    let inputs = chunk_inputs(dir.path(), raw, tokenizer);
    let params = TokenizeParams {
        mapping,
        ..TokenizeParams::default()
    };
    let out = OutputDir::new(dir.path().join("out"));
    std::fs::create_dir(out.path("")).unwrap();
    let stage = Tokenize::new(params).unwrap();
    stage
        .run(&inputs, &out, &context(dir.path(), 1))
        .map_err(|e| e.to_string())?;
    Ok(TokenSet::read(&out.path("tokens.bin")).unwrap())
}

#[test]
fn every_mapping_round_trips_real_data() {
    let image = std::fs::read(nano("eval/image.bin")).unwrap();
    for mapping in [Mapping::Mask7, Mapping::Shift1, Mapping::Latin1] {
        let set = tokenize(mapping, &image[..4096], nano("tokenizer/tokenizer.json")).unwrap();
        assert_eq!(set.header().end_of_text, Some(0));
        assert_eq!(set.header().vocabulary, 1024);
        assert_eq!(set.iter().count(), 2);
        for chunk in set.iter() {
            assert_eq!(chunk.covered.iter().sum::<u32>(), 2048);
        }
    }
}

#[test]
fn a_literal_special_token_in_the_data_is_one_token() {
    let mut raw = vec![b'x'; 2048];
    raw[10..23].copy_from_slice(b"<|endoftext|>");
    let set = tokenize(Mapping::Mask7, &raw, nano("tokenizer/tokenizer.json")).unwrap();
    let chunk = set.iter().next().unwrap();
    let at = chunk.ids.iter().position(|id| *id == 0).unwrap();
    assert_eq!(chunk.covered[at], 13);
}

#[test]
fn a_damaged_tokenizer_is_named_with_the_position() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let whole = std::fs::read(nano("tokenizer/tokenizer.json")).unwrap();
    std::fs::write(&path, &whole[..500]).unwrap();
    let error = tokenize(Mapping::Mask7, &[0; 2048], path.clone()).unwrap_err();
    assert!(
        error.contains("tokenizer.json") && error.contains("line"),
        "{error}"
    );
    std::fs::write(&path, "{\"version\": \"1.0\"}").unwrap();
    let error = tokenize(Mapping::Mask7, &[0; 2048], path).unwrap_err();
    assert!(error.contains("not a tokenizer"), "{error}");
}

/// tokens.bin of `count` text chunks.
fn write_tokens(path: &Path, count: usize) {
    let file = nano("tokenizer/tokenizer.json");
    let tokenizer = ChunkTokenizer::read(&file, Mapping::Mask7).unwrap();
    let mut set = TokenSet::new(Mapping::Mask7, tokenizer.vocabulary(), Some(0));
    let raw = std::fs::read(nano("eval/text.bin")).unwrap();
    for (index, chunk) in raw.chunks_exact(2048).take(count).enumerate() {
        let encoded = tokenizer.encode(index, chunk).unwrap();
        set.push(chunk, &encoded.ids, &encoded.covered, encoded.plane_bytes);
    }
    set.write(path).unwrap();
}

fn score_inputs(dir: &Path, count: usize) -> Inputs {
    let tokens = dir.join("tokens.bin");
    write_tokens(&tokens, count);
    let weights = nano("models/nano-25k/step64");
    let files = ["config.json", "model.safetensors"].map(|n| (n, weights.join(n)));
    inputs([
        (
            "tokens",
            node([("tokens.bin", artifact("tokens", &[("tokens.bin", tokens)]))]),
        ),
        (
            "weights",
            node([("files", artifact("nano-25k/step64", &files))]),
        ),
    ])
}

fn score(dir: &Path, inputs: &Inputs, context: &StageContext<'_>) -> Result<Vec<u8>, StageError> {
    let out = tempfile::tempdir_in(dir).unwrap();
    let stage = Score::new(ScoreParams::default(), DeviceClass::Cpu).unwrap();
    stage.run(inputs, &OutputDir::new(out.path().to_owned()), context)?;
    assert!(out.path().join("model.json").exists());
    Ok(std::fs::read(out.path().join("scores.parquet")).unwrap())
}

#[test]
fn a_killed_run_goes_on_where_it_stopped_and_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = score_inputs(dir.path(), 3);
    let [clean, scratch] = ["clean", "scratch"].map(|n| dir.path().join(n));
    std::fs::create_dir(&clean).unwrap();
    std::fs::create_dir(&scratch).unwrap();
    let whole = score(dir.path(), &inputs, &context(&clean, 2)).unwrap();

    let windows = AtomicU64::new(0);
    let count = |_: u64, _: u64, _: &'static str| {
        windows.fetch_add(1, Ordering::SeqCst);
    };
    let stop = || windows.load(Ordering::SeqCst) >= 4;
    let killed = StageContext {
        progress: &count,
        cancelled: &stop,
        ..context(&scratch, 1)
    };
    let error = score(dir.path(), &inputs, &killed).unwrap_err();
    assert!(matches!(error, StageError::Cancelled));
    let done = windows.into_inner();
    let journal = scratch.join("windows.log");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(text.lines().count() as u64, 1 + done);
    text.push_str("7 3f80");
    std::fs::write(&journal, text).unwrap();

    let (resumed, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let count = |done: u64, all: u64, _: &'static str| {
        resumed.fetch_add(1, Ordering::SeqCst);
        total.store(all, Ordering::SeqCst);
        assert!(done <= all);
    };
    let again = StageContext {
        progress: &count,
        ..context(&scratch, 2)
    };
    assert_eq!(score(dir.path(), &inputs, &again).unwrap(), whole);
    let text = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(text.lines().count() as u64, 1 + done + resumed.into_inner());
}

#[test]
fn rows_follow_the_protocols_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = score_inputs(dir.path(), 1);
    let mine: Protocol = serde_json::from_str(r#"{"mine": {"context": {"head": 9}}}"#).unwrap();
    let params = ScoreParams {
        protocols: vec![Preset::Lossless.into(), mine, Preset::Paper.into()],
        ..ScoreParams::default()
    };
    let out = OutputDir::new(dir.path().to_owned());
    let stage = Score::new(params, DeviceClass::Cpu).unwrap();
    let report = stage.run(&inputs, &out, &context(dir.path(), 2)).unwrap();
    assert_eq!(report.facts["device"], "cpu");
    let rows = scores::read(&out.path("scores.parquet")).unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r.protocol.as_str()).collect();
    assert_eq!(names, ["lossless", "mine", "paper"]);
    // The bytes that a coder writes, those of the lost bits among them.
    assert_eq!(
        (rows[0].compressed_bits % 8.0, rows[0].side_bits),
        (0.0, 8.0)
    );
    let overhead = rows[0].compressed_bits - rows[0].bits - rows[0].side_bits;
    assert!((0.0..20.0).contains(&overhead), "{overhead} bits");
    assert_eq!(
        (rows[0].context_min, rows[0].tokens_scored),
        (1, rows[0].tokens)
    );
    assert_eq!((rows[1].tokens_scored, rows[1].context_min), (9, 1));
    assert!((rows[1].context_mean - 5.0).abs() < 1e-12);
}

#[test]
fn parameters_are_checked() {
    let params = |protocols| ScoreParams {
        protocols,
        ..ScoreParams::default()
    };
    assert!(Score::new(params(vec![]), DeviceClass::Cpu).is_err());
    let twice = params(vec![Preset::Full.into(), Preset::Full.into()]);
    assert!(Score::new(twice, DeviceClass::Cpu).is_err());
    let text = r#"{"protocols": ["full"], "batch": 3}"#;
    assert!(serde_json::from_str::<ScoreParams>(text).is_err());
    let params: TokenizeParams = serde_json::from_str("{}").unwrap();
    assert_eq!(params, TokenizeParams::default());
}

/// Why a copy of nano-25k with changed files is refused.
fn refused(change: impl Fn(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(
            nano("models/nano-25k/step64").join(file),
            dir.path().join(file),
        )
        .unwrap();
    }
    change(dir.path());
    Model::load_dir(dir.path())
        .err()
        .expect("it was loaded")
        .to_string()
}

#[test]
fn damaged_weights_are_refused_by_name() {
    let edit = |change: fn(&mut Vec<u8>)| {
        refused(|dir| {
            let path = dir.join("model.safetensors");
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes);
            std::fs::write(path, bytes).unwrap();
        })
    };
    let cut = edit(|b| b.truncate(100_000));
    assert!(
        cut.contains("model.safetensors") && cut.contains("100000"),
        "{cut}"
    );
    let absurd = edit(|b| b[..8].fill(0xff));
    assert!(
        absurd.contains("header of 18446744073709551615 bytes"),
        "{absurd}"
    );
    let empty = edit(Vec::clear);
    assert!(empty.contains("0 bytes"), "{empty}");
    let other = edit(|b| {
        let text = String::from_utf8_lossy(&b[..4000]).into_owned();
        let at = text.find("layers.1.mlp.dense_4h_to_h.bias").unwrap();
        // Only ASCII stands before it except for the length, which is below 128 in each byte.
        let at = b
            .windows(8)
            .skip(at.saturating_sub(40))
            .position(|w| w == b"layers.1")
            .map(|p| p + at.saturating_sub(40))
            .unwrap();
        b[at + 7] = b'9';
    });
    assert!(
        other.contains("layers.1") && other.contains("missing"),
        "{other}"
    );
}

#[test]
fn a_config_that_does_not_fit_the_weights_is_refused() {
    let edit = |from: &str, to: &str| {
        refused(|dir| {
            let path = dir.join("config.json");
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            std::fs::write(path, text.replace(from, to)).unwrap();
        })
    };
    let shape = edit("\"vocab_size\": 1024", "\"vocab_size\": 1000");
    assert!(shape.contains("[1024, 32], expected [1000, 32]"), "{shape}");
    let fewer = edit("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
    assert!(
        fewer.contains("layers.1") && fewer.contains("no place"),
        "{fewer}"
    );
    let foreign = edit("GPTNeoXForCausalLM", "BertModel");
    assert!(
        foreign.contains("BertModel") && foreign.contains("GPTNeoXForCausalLM"),
        "{foreign}"
    );
    let absent = refused(|dir| std::fs::remove_file(dir.join("model.safetensors")).unwrap());
    assert!(absent.contains("found config.json"), "{absent}");
}

#[test]
fn the_kind_of_device_is_in_the_key_and_cards_are_implied_by_16_bits() {
    let params = |dtype, class| {
        let params = ScoreParams {
            dtype,
            ..ScoreParams::default()
        };
        Score::new(params, class).unwrap().params()
    };
    let (cpu, card) = (DeviceClass::Cpu, DeviceClass::Cuda);
    assert_eq!(params(Dtype::F32, cpu).get("device"), None);
    assert_eq!(params(Dtype::F32, card)["device"], "cuda");
    assert_eq!(params(Dtype::Bf16, cpu), params(Dtype::Bf16, card));
    assert_eq!(params(Dtype::F16, cpu)["device"], "cuda");
}
