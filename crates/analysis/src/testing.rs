//! Stages run as the engine runs them, for tests.

use std::path::Path;

use cpipe_data::law_report::Parameter;
use cpipe_data::observations::Observation;
use cpipe_engine::InputFiles;
use cpipe_engine::cell::Cell;
use cpipe_engine::digest::Digest;
use cpipe_engine::stage::{InputArtifact, InputNode, Inputs, OutputDir, Stage, StageContext};
use tempfile::TempDir;

/// A parameter of which nothing but the value is known.
pub(crate) fn parameter(name: &str, value: f64) -> Parameter {
    Parameter {
        name: name.into(),
        value,
        stderr: None,
        lo: value,
        hi: value,
        profile_lo: None,
        profile_hi: None,
        at_bound: false,
    }
}

/// A cell as a table without spreads has it.
pub(crate) fn observation(modality: &str, size: u64, step: u64, ratio: f64) -> Observation {
    Observation {
        model: format!("m{size}"),
        params_nominal: None,
        params_total: 2 * size,
        params_non_embedding: size,
        step,
        modality: modality.into(),
        protocol: "full".into(),
        chunks: 4,
        cr: ratio,
        cr_mean: ratio,
        cr_std: f64::NAN,
        cr_sem: f64::NAN,
        cr_lo: f64::NAN,
        cr_hi: f64::NAN,
        cr_sum_ratio: ratio,
        bits_per_byte: 8.0 * ratio,
        side_bits: 0.0,
        context_min: 0,
        context_mean: f64::NAN,
        tokens: 0,
        tokens_scored: 0,
        dropped: 0,
        nan: 0,
        floored: 0,
    }
}

/// An upstream node with all files of a folder as outputs.
pub(crate) fn node(folder: &Path) -> InputNode {
    let files = std::fs::read_dir(folder).expect("a folder");
    let outputs = files.map(|file| {
        let file = file.expect("a file");
        let name = file.file_name().to_string_lossy().into_owned();
        let artifact = InputArtifact {
            digest: Digest::of(b""),
            files: InputFiles::file(&name, &file.path(), false),
        };
        (name, artifact)
    });
    InputNode {
        cell: Cell::default(),
        outputs: outputs.collect(),
    }
}

/// Inputs with one node for each role.
pub(crate) fn inputs(roles: &[(&str, &TempDir)]) -> Inputs {
    let role = |(name, dir): &(&str, &TempDir)| ((*name).to_owned(), vec![node(dir.path())]);
    Inputs {
        roles: roles.iter().map(role).collect(),
        ..Inputs::default()
    }
}

/// Runs a stage; gives back the folder with its outputs, or what it said.
pub(crate) fn run(stage: &dyn Stage, inputs: &Inputs, threads: usize) -> Result<TempDir, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let outputs = OutputDir::new(dir.path().to_owned());
    let context = StageContext::alone(threads, Path::new(""));
    let ran = stage.run(inputs, &outputs, &context);
    ran.map(|_| dir).map_err(|e| e.to_string())
}
