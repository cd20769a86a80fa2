//! Copies of the fixtures' models with changed files, and what becomes of them.

use std::path::{Path, PathBuf};

use cpipe_data::scores;
use cpipe_data::tokens::{Mapping, TokenSet};
use cpipe_engine::stage::{InputArtifact, InputNode};
use cpipe_engine::{Cell, Digest, Inputs, OutputDir, Stage, StageContext};
use cpipe_lm::{DeviceClass, Model, Preset, Score, ScoreParams, Sequence};
use serde_json::Value;

/// A copy of a model of the fixtures.
pub(crate) struct Copy(tempfile::TempDir);

impl Copy {
    pub(crate) fn of(name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name);
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "expected.json" {
                std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
            }
        }
        Self(dir)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// With other values of some keys of config.json; `null` takes one out.
    pub(crate) fn with(self, change: Value) -> Self {
        let path = self.path("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        self.write("config.json", &serde_json::to_vec(&config).unwrap())
    }

    pub(crate) fn write(self, file: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.path(file), bytes).unwrap();
        self
    }

    pub(crate) fn log_probs(&self) -> Result<Vec<f32>, String> {
        let ids = Sequence::whole(&[3, 1, 4, 1, 5, 9, 2, 6]);
        let model = Model::load_dir(self.0.path()).map_err(|e| e.to_string())?;
        let scored = model.log_probs(&[ids]).map_err(|e| e.to_string())?;
        Ok(scored.into_iter().next().unwrap())
    }

    pub(crate) fn refusal(&self) -> String {
        self.log_probs().expect_err("it was scored")
    }

    /// What the stage `score` makes of one chunk of 40 tokens.
    pub(crate) fn score(&self, ignore: &[&str]) -> Result<f64, String> {
        let end = Some(0);
        self.score_tokens(TokenSet::new(Mapping::Mask7, 67, end), ignore)
    }

    pub(crate) fn score_tokens(
        &self,
        mut tokens: TokenSet,
        ignore: &[&str],
    ) -> Result<f64, String> {
        let ids: Vec<u32> = (0..40).map(|i| i * 7 % 60).collect();
        tokens.push(&[65; 40], &ids, &[1; 40], 0);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.bin");
        tokens.write(&path).unwrap();
        let files = std::fs::read_dir(self.0.path()).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), entry.path())
        });
        let digest = Digest::of(self.0.path().to_string_lossy().as_bytes());
        let node = |name: &str, artifact| {
            vec![InputNode {
                cell: Cell::default(),
                outputs: [(name.to_owned(), artifact)].into(),
            }]
        };
        let tokens = InputArtifact {
            digest,
            files: [("tokens.bin".to_owned(), path)].into_iter().collect(),
        };
        let weights = InputArtifact {
            digest,
            files: files.collect(),
        };
        let roles = [
            ("tokens".to_owned(), node("tokens.bin", tokens)),
            ("weights".to_owned(), node("files", weights)),
        ];
        let inputs = Inputs {
            roles: roles.into(),
            ..Inputs::default()
        };
        let params = ScoreParams {
            protocols: vec![Preset::Full.into()],
            ignore: ignore.iter().map(|key| (*key).to_owned()).collect(),
            ..ScoreParams::default()
        };
        let out = OutputDir::new(dir.path().to_owned());
        let stage = Score::new(params, DeviceClass::Cpu).unwrap();
        let context = StageContext::alone(1, dir.path());
        stage
            .run(&inputs, &out, &context)
            .map_err(|e| e.to_string())?;
        Ok(scores::read(&out.path("scores.parquet")).unwrap()[0].bits)
    }
}

/// Asserts that `text` has all of `parts`.
pub(crate) fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
