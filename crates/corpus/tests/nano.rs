//! On the nano suite the chunks equal its reference files byte for byte.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpipe_corpus::{Chunk, ChunkParams, Crops, Csv, Decoder, Files, Order, Patch};
use cpipe_data::chunks::ChunkSet;
use cpipe_engine::stage::{
    InputArtifact, InputNode, Inputs, OutputDir, Stage, StageContext, StageError,
};
use cpipe_engine::{Cell, Digest};

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/eval")
}

fn params(decode: Decoder, count: usize) -> ChunkParams {
    ChunkParams {
        decode,
        bytes: 2048,
        count: Some(count),
        offset: 0,
        order: Order::Even,
        crops: Crops::Grid,
        seed: 0,
        patch: Patch::default(),
        sample_rate: 16_000,
    }
}

fn run(folder: &Path, params: ChunkParams, out: &Path) -> Result<ChunkSet, StageError> {
    let files: BTreeMap<String, PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    let artifact = InputArtifact {
        digest: Digest::of(b""),
        files: files.into_iter().collect(),
    };
    let node = InputNode {
        cell: Cell::default(),
        outputs: BTreeMap::from([("files".to_owned(), artifact)]),
    };
    let inputs = Inputs {
        roles: BTreeMap::from([("source".to_owned(), vec![node])]),
        ..Inputs::default()
    };
    let context = StageContext::alone(1, out);
    let stage = Chunk::new(params).map_err(|(_, message)| StageError::failed(message))?;
    stage.run(&inputs, &OutputDir::new(out.to_owned()), &context)?;
    Ok(ChunkSet::open(&out.join("chunks.bin"), &out.join("chunks.json")).unwrap())
}

#[test]
fn chunks_equal_the_reference_files() {
    for (name, decode) in [
        ("text", Decoder::Text),
        ("image", Decoder::Image),
        ("speech", Decoder::Speech),
    ] {
        let out = tempfile::tempdir().unwrap();
        let set = run(&assets().join(name), params(decode, 64), out.path()).unwrap();
        let found: Vec<u8> = set.iter().flatten().copied().collect();
        let reference = std::fs::read(assets().join(format!("{name}.bin"))).unwrap();
        assert!(found == reference, "{name} differs");
    }
}

#[test]
fn every_origin_of_a_text_chunk_points_at_its_bytes() {
    let out = tempfile::tempdir().unwrap();
    let set = run(
        &assets().join("text"),
        params(Decoder::Text, 64),
        out.path(),
    )
    .unwrap();
    for (chunk, origin) in set.iter().zip(&set.header().origins) {
        let file = std::fs::read(assets().join("text").join(&origin.file)).unwrap();
        let at = origin.offset as usize;
        let within = chunk.len().min(file.len() - at);
        assert_eq!(chunk[..within], file[at..at + within]);
    }
}

#[test]
fn too_many_chunks_and_nothing_to_decode_are_said_plainly() {
    let out = tempfile::tempdir().unwrap();
    let error = run(
        &assets().join("text"),
        params(Decoder::Text, 9999),
        out.path(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("whole chunks"), "{error}");
    let error = run(
        &assets().join("text"),
        params(Decoder::Speech, 1),
        out.path(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no WAV, AIFF, CAF, FLAC, MP3 or Ogg file among its 7 files"),
        "{error}"
    );
}

#[test]
fn further_modalities_are_a_decoder_with_parameters() {
    let out = tempfile::tempdir().unwrap();
    let decode: Decoder = serde_json::from_str(r#"{"files": {"extensions": ["TXT"]}}"#).unwrap();
    let set = run(&assets().join("text"), params(decode, 64), out.path()).unwrap();
    let found: Vec<u8> = set.iter().flatten().copied().collect();
    assert!(found == std::fs::read(assets().join("text.bin")).unwrap());
    let table = std::fs::read_to_string(assets().join("../eval_reference_chunks.csv")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), &table).unwrap();
    let decode: Decoder = serde_json::from_str(r#"{"csv": {"columns": ["modality"]}}"#).unwrap();
    let set = run(folder.path(), params(decode, 2), out.path()).unwrap();
    assert!(set.iter().next().unwrap().starts_with(b"text\ntext\n"));
}

#[test]
fn parameters_of_decoders_are_checked() {
    let csv = |delimiter, columns| Decoder::Csv(Csv { columns, delimiter });
    for (decode, field) in [
        (csv(',', vec![]), "decode.csv.columns"),
        (csv('é', vec!["a".into()]), "decode.csv.delimiter"),
        (
            Decoder::Files(Files { extensions: vec![] }),
            "decode.files.extensions",
        ),
    ] {
        assert_eq!(Chunk::new(params(decode, 1)).unwrap_err().0, field);
    }
}
