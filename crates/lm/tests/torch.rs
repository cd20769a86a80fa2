//! Files of `torch.save` (see `make_torch_fixtures.py`) are the same model as safetensors files.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpipe_lm::{Model, Sequence};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    ids: Vec<Vec<u32>>,
}

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    root.join(name)
}

/// Bits of every log-probability.
fn bits(dir: &Path) -> Vec<Vec<u32>> {
    let expected = std::fs::read(dir.join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&expected).unwrap();
    let batch: Vec<_> = expected
        .ids
        .iter()
        .map(|ids| Sequence::whole(ids))
        .collect();
    let results = Model::load_dir(dir).unwrap().log_probs(&batch).unwrap();
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect();
    results.into_iter().map(bits).collect()
}

#[test]
fn one_file_and_shards_give_the_bits_of_safetensors() {
    for name in ["f16-legacy-buffers", "bf16-padded-vocabulary"] {
        let torch = fixture(&format!("torch-{name}"));
        let safetensors = fixture(&format!("neox-{name}"));
        assert_eq!(bits(&torch), bits(&safetensors), "{name}");
        let facts = |dir: &Path| Model::load_dir(dir).unwrap().facts();
        assert_eq!(facts(&torch), facts(&safetensors), "{name}");
    }
}

fn files(name: &str) -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(fixture(name)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

#[test]
fn safetensors_are_preferred() {
    let mut both = files("neox-f16-legacy-buffers");
    both.insert("pytorch_model.bin".into(), fixture("not-there"));
    assert!(Model::load(&both).is_ok());
}

#[test]
fn what_is_missing_or_no_weights_is_named() {
    let mut shards = files("torch-bf16-padded-vocabulary");
    shards.remove("pytorch_model-00002-of-00002.bin");
    let error = Model::load(&shards).map(drop).unwrap_err().to_string();
    assert!(
        error.contains("named in `pytorch_model.bin.index.json` but is not there"),
        "{error}"
    );
    let mut wrong = files("torch-f16-legacy-buffers");
    wrong.insert("pytorch_model.bin".into(), fixture("gpt2/config.json"));
    let error = Model::load(&wrong).map(drop).unwrap_err().to_string();
    assert!(
        error.contains("weights `pytorch_model.bin`: not a whole file of torch.save"),
        "{error}"
    );
}
