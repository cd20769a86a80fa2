//! The forward pass against Transformers in f32, on tiny random models (see `make_fixtures.py`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_for_each,
    reason = "tests"
)]

use std::path::Path;

use cpipe_lm::{Model, Sequence};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    ids: Vec<Vec<u32>>,
    /// Natural log p of `ids[i][t]` given `ids[i][..t]`, for t from 1.
    logprobs: Vec<Vec<f64>>,
}

#[test]
fn every_variant_agrees_with_transformers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut folders = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let dir = entry.unwrap().path();
        if dir.is_dir() {
            let worst = deviation(&dir);
            println!("{}: {worst:e} bits a token", dir.display());
            assert!(worst < 1e-4, "{}: {worst} bits", dir.display());
            folders += 1;
        }
    }
    assert!(folders > 0, "no fixtures");
}

/// Largest difference from what Transformers says, in bits a token.
fn deviation(dir: &Path) -> f64 {
    let text = std::fs::read(dir.join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&text).unwrap();
    let model = Model::load_dir(dir).unwrap();
    let mut worst = 0.0_f64;
    assert!(!expected.ids.is_empty());
    let batch: Vec<Sequence> = expected
        .ids
        .iter()
        .map(|ids| Sequence::whole(ids))
        .collect();
    let results = model.log_probs(&batch).unwrap();
    for (sequence, result) in batch.iter().zip(&results) {
        let alone = model.log_probs(std::slice::from_ref(sequence)).unwrap();
        assert_eq!(alone[0], *result, "{}: the batch shows", dir.display());
    }
    for (ours, theirs) in results.iter().zip(&expected.logprobs) {
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(theirs) {
            let difference = (f64::from(*a) - b).abs() * std::f64::consts::LOG2_E;
            assert!(!difference.is_nan());
            worst = worst.max(difference);
        }
    }
    worst
}
