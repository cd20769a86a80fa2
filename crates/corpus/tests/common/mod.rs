//! Runs the stage `chunk` on files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpipe_corpus::{Chunk, ChunkParams, Crops, Decoder, Order, Patch};
use cpipe_data::chunks::ChunkSet;
use cpipe_engine::stage::{InputArtifact, InputNode, Inputs, OutputDir, Stage, StageContext};
use cpipe_engine::{Cell, Digest, StageError};

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) fn params(decode: Decoder, rows: usize, columns: usize) -> ChunkParams {
    ChunkParams {
        decode,
        bytes: rows * columns,
        count: None,
        offset: 0,
        order: Order::First,
        crops: Crops::One,
        seed: 1,
        patch: Patch { rows, columns },
        sample_rate: 16_000,
    }
}

pub(crate) fn chunks(files: &[PathBuf], params: ChunkParams) -> Result<ChunkSet, StageError> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let artifact = InputArtifact {
        digest: Digest::of(b""),
        files: files
            .iter()
            .map(|path| (name(path), path.clone()))
            .collect(),
    };
    let node = InputNode {
        cell: Cell::default(),
        outputs: BTreeMap::from([("files".to_owned(), artifact)]),
    };
    let inputs = Inputs {
        roles: BTreeMap::from([("source".to_owned(), vec![node])]),
        ..Inputs::default()
    };
    let out = tempfile::tempdir().unwrap();
    let context = StageContext::alone(1, out.path());
    let stage = Chunk::new(params).map_err(|(_, message)| StageError::failed(message))?;
    stage.run(&inputs, &OutputDir::new(out.path().to_owned()), &context)?;
    Ok(ChunkSet::open(
        &out.path().join("chunks.bin"),
        &out.path().join("chunks.json"),
    )
    .unwrap())
}

/// All that a file is decoded to; of pictures the patches of one row and `columns` columns.
#[allow(dead_code, reason = "not every test binary needs it")]
pub(crate) fn decoded(path: &Path, decode: Decoder, columns: usize) -> Result<Vec<u8>, StageError> {
    let params = ChunkParams {
        crops: Crops::Grid,
        ..params(decode, 1, columns)
    };
    let set = chunks(&[path.to_owned()], params)?;
    Ok(set.iter().flatten().copied().collect())
}

/// The files of a folder of fixtures for which there is a file with what they should be.
#[allow(dead_code, reason = "not every test binary needs it")]
pub(crate) fn with_expected(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .map(|path| path.with_extension(""))
        .collect();
    found.sort();
    assert!(found.len() > 20, "{} fixtures", found.len());
    found
}
