//! Configs and weights.

use std::path::{Path, PathBuf};

use cpipe_lm::{Model, Sequence};
use proptest::prelude::*;

use crate::change::{changes, config, damaged};
use crate::memory::{LIMIT, measured};
use crate::values::{swapped, swaps};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A copy of a model of the fixtures, of which one file is damaged again and again.
struct Victim {
    dir: tempfile::TempDir,
    file: PathBuf,
    whole: Vec<u8>,
}

impl Victim {
    fn new(model: &str, file: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(fixture(model)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "expected.json" {
                std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
            }
        }
        let file = dir.path().join(file);
        let whole = std::fs::read(&file).unwrap();
        let victim = Self { dir, file, whole };
        assert!(victim.error(&victim.whole).is_none(), "{model} is whole");
        victim
    }

    /// What loading says, or scoring; nothing where there is a result.
    fn error(&self, bytes: &[u8]) -> Option<String> {
        // Removed first: an earlier model may have it mapped.
        std::fs::remove_file(&self.file).unwrap();
        std::fs::write(&self.file, bytes).unwrap();
        let (result, bytes) = measured(|| {
            let model = Model::load_dir(self.dir.path())?;
            model.log_probs(&[Sequence::whole(&[1, 2, 3])])
        });
        assert!(bytes < LIMIT, "{bytes} bytes");
        result.err().map(|error| error.to_string())
    }

    fn try_it(&self, bytes: &[u8]) {
        if let Some(error) = self.error(bytes) {
            assert!(
                error.contains('`') || error.contains("context"),
                "it names nothing: {error}"
            );
        }
    }
}

/// A test for each file of a model.
macro_rules! damage {
    ($($test:ident: $model:literal, $file:literal;)*) => {$(
        #[test]
        fn $test() {
            let victim = Victim::new($model, $file);
            proptest!(config(), |(changes in changes())| victim.try_it(&damaged(&victim.whole, &changes)));
            if $file.ends_with(".json") {
                proptest!(config(), |(swaps in swaps())| victim.try_it(&swapped(&victim.whole, &swaps)));
            }
        }
    )*};
}

damage! {
    config_of_gpt_neox: "neox-newer-config", "config.json";
    config_of_gpt2: "gpt2", "config.json";
    config_of_llama: "llama", "config.json";
    config_of_mamba: "mamba", "config.json";
    config_of_mixtral: "mixtral", "config.json";
    config_of_qwen2: "qwen2", "config.json";
    gguf_of_llama: "gguf-llama", "model.gguf";
    gguf_of_mixtral: "gguf-mixtral", "model.gguf";
    gguf_of_qwen2: "gguf-qwen2", "model.gguf";
    index_of_shards: "torch-bf16-padded-vocabulary", "pytorch_model.bin.index.json";
    pickle: "torch-f16-legacy-buffers", "pytorch_model.bin";
    safetensors: "neox-f16-legacy-buffers", "model.safetensors";
    safetensors_of_mamba: "mamba", "model.safetensors";
}
