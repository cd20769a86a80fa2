//! The nano suite against its reference values, which Transformers computed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_for_each,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cpipe_data::scores::ChunkScore;
use cpipe_data::tokens::{Mapping, TokenSet};
use cpipe_engine::StageContext;
use cpipe_lm::{ChunkTokenizer, Model, Plan, Preset, Protocol, score_windows};

const MODELS: [&str; 5] = [
    "nano-25k",
    "nano-57k",
    "nano-150k",
    "nano-336k",
    "nano-793k",
];
const STEPS: [u64; 5] = [64, 256, 512, 1024, 2048];
const MODALITIES: [&str; 3] = ["text", "image", "speech"];
const PROTOCOLS: [Protocol; 2] = [
    Protocol::Preset(Preset::Paper),
    Protocol::Preset(Preset::Full),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano")
}

fn model(name: &str, step: u64) -> Model {
    Model::load_dir(&root().join(format!("models/{name}/step{step}"))).unwrap()
}

fn tokens(modality: &str, chunks: usize) -> TokenSet {
    let path = root().join("tokenizer/tokenizer.json");
    let tokenizer = ChunkTokenizer::read(&path, Mapping::Mask7).unwrap();
    let end_of_text = tokenizer.id("<|endoftext|>");
    let mut set = TokenSet::new(Mapping::Mask7, tokenizer.vocabulary(), end_of_text);
    let raw = std::fs::read(root().join(format!("eval/{modality}.bin"))).unwrap();
    for (index, chunk) in raw.chunks_exact(2048).take(chunks).enumerate() {
        let encoded = tokenizer.encode(index, chunk).unwrap();
        set.push(chunk, &encoded.ids, &encoded.covered, encoded.plane_bytes);
    }
    set
}

fn score(model: &Model, tokens: &TokenSet, threads: usize) -> Vec<ChunkScore> {
    let context = StageContext::alone(threads, Path::new("."));
    let plan = Plan::new(&PROTOCOLS, tokens, model.shape()).unwrap();
    let mut rows = score_windows(model, tokens, &plan, &context).unwrap();
    rows.sort_by_key(|row| (row.protocol == "full", row.chunk));
    rows
}

/// One chunk's values in the reference.
struct Reference {
    params: u64,
    tokens: u64,
    scored: u64,
    bits: f64,
}

type Key = (String, u64, String, String, u64);

fn reference() -> Arc<BTreeMap<Key, Reference>> {
    let text = std::fs::read_to_string(root().join("eval_reference_chunks.csv")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().skip(1) {
        let f: Vec<&str> = line.split(',').collect();
        let count = |i: usize| f[i].parse::<u64>().unwrap();
        let key = (f[0].into(), count(2), f[3].into(), f[4].into(), count(5));
        let row = Reference {
            params: count(1),
            tokens: count(6),
            scored: count(7),
            bits: f[8].parse().unwrap(),
        };
        rows.insert(key, row);
    }
    Arc::new(rows)
}

/// Compares every row of a cell; gives the largest relative difference in bits.
fn compare(name: &str, step: u64, modality: &str, tokens: &TokenSet, threads: usize) -> f64 {
    let model = model(name, step);
    let rows = score(&model, tokens, threads);
    compare_rows(&reference(), &model, (name, step, modality), &rows)
}

fn compare_rows(
    reference: &BTreeMap<Key, Reference>,
    model: &Model,
    cell: (&str, u64, &str),
    rows: &[ChunkScore],
) -> f64 {
    let mut worst = 0.0_f64;
    for row in rows {
        let (name, step, modality) = (cell.0.into(), cell.1, cell.2.into());
        let expected = &reference[&(name, step, modality, row.protocol.clone(), row.chunk)];
        assert_eq!(row.tokens, expected.tokens, "{cell:?} {}", row.chunk);
        assert_eq!(row.tokens_scored, expected.scored, "{cell:?} {}", row.chunk);
        assert_eq!(model.facts().params_non_embedding, expected.params);
        assert!(!row.dropped && row.floored == 0);
        worst = worst.max((row.bits / expected.bits - 1.0).abs());
    }
    worst
}

#[test]
fn a_sample_of_cells_agrees_with_the_reference() {
    for modality in MODALITIES {
        let tokens = tokens(modality, 2);
        let sizes = MODELS.map(|name| (name, 2048));
        let steps = STEPS.map(|step| ("nano-57k", step));
        for (name, step) in sizes.into_iter().chain(steps) {
            let worst = compare(name, step, modality, &tokens, 2);
            assert!(worst < 1e-5, "{name} {step} {modality}: {worst}");
        }
    }
}

#[test]
fn threads_and_order_leave_no_trace() {
    let model = model("nano-150k", 512);
    let tokens = tokens("image", 3);
    let one = score(&model, &tokens, 1);
    assert_eq!(one, score(&model, &tokens, 2));
    assert_eq!(one, score(&model, &tokens, 3));
    let chunks: Vec<_> = tokens.iter().collect();
    let header = tokens.header();
    let mut reversed = TokenSet::new(header.mapping, header.vocabulary, header.end_of_text);
    let raw = std::fs::read(root().join("eval/image.bin")).unwrap();
    for (i, chunk) in chunks.iter().enumerate().rev() {
        let raw = &raw[i * 2048..(i + 1) * 2048];
        reversed.push(raw, chunk.ids, chunk.covered, chunk.info.plane_bytes);
    }
    let mut back = score(&model, &reversed, 2);
    for rows in back.chunks_exact_mut(3) {
        rows.reverse();
        rows.iter_mut().for_each(|row| row.chunk = 2 - row.chunk);
    }
    assert_eq!(one, back);
}

/// Mean ratio of one protocol's rows.
fn mean(rows: &[ChunkScore], protocol: &str) -> f64 {
    let ratios: Vec<f64> = rows
        .iter()
        .filter(|r| r.protocol == protocol)
        .map(|r| r.cr)
        .collect();
    ratios.iter().sum::<f64>() / ratios.len() as f64
}

#[test]
#[ignore = "a minute on two quiet cores"]
fn all_cells_agree_with_the_reference() {
    let per_chunk = reference();
    let summary = std::fs::read_to_string(root().join("eval_reference.csv")).unwrap();
    let token_sets = MODALITIES.map(|m| (m, tokens(m, 64)));
    let (mut worst_bits, mut worst_mean) = (0.0_f64, 0.0_f64);
    let started = std::time::Instant::now();
    let mut cells = 0;
    for line in summary.lines().skip(1) {
        let f: Vec<&str> = line.split(',').collect();
        let step = f[2].parse().unwrap();
        let model = model(f[0], step);
        let (modality, tokens) = token_sets.iter().find(|(m, _)| *m == f[3]).unwrap();
        let rows = score(&model, tokens, 2);
        let cell = (f[0], step, *modality);
        worst_bits = worst_bits.max(compare_rows(&per_chunk, &model, cell, &rows));
        for (column, protocol) in [(5, "paper"), (7, "full")] {
            let expected: f64 = f[column].parse().unwrap();
            worst_mean = worst_mean.max((mean(&rows, protocol) - expected).abs());
        }
        cells += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{cells} cells in {seconds:.1} s; bits within {worst_bits:e} relative, means within {worst_mean:e}"
    );
    assert_eq!(cells, 75);
    // The reference prints six decimals.
    assert!(worst_bits < 1e-5 && worst_mean < 1e-6);
}
