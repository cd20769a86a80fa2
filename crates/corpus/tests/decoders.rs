//! Decoders agree with others: JPEG with PIL, FLAC with libsndfile. Fixtures: `make_fixtures.py`.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::path::Path;

use common::{chunks, fixtures, params};
use cpipe_corpus::{ChunkParams, Decoder};
use cpipe_engine::digest::sha256;

const PICTURES: [(&str, usize, usize); 4] = [
    ("444", 133, 201),
    ("420", 133, 201),
    ("422-progressive", 120, 160),
    ("gray", 120, 160),
];

#[test]
fn luma_of_a_jpeg_is_pils_within_one_grey_level() {
    for (name, rows, columns) in PICTURES {
        let path = fixtures().join(format!("{name}.jpg"));
        let set = chunks(&[path], params(Decoder::Image, rows, columns)).unwrap();
        let found: Vec<u8> = set.iter().flatten().copied().collect();
        let expected = std::fs::read(fixtures().join(format!("{name}.luma"))).unwrap();
        assert_eq!(found.len(), expected.len());
        let worst = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst <= Some(1), "{name}: {worst:?} grey levels");
    }
}

#[test]
fn pictures_in_a_table_are_those_in_files() {
    let mut crops = Vec::new();
    for table in ["snappy", "zstd"] {
        let path = fixtures().join(format!("{table}.parquet"));
        let set = chunks(&[path], params(Decoder::Image, 32, 64)).unwrap();
        // The small one is passed over, and so are the rows without a picture.
        let origins = &set.header().origins;
        let files: Vec<&str> = origins.iter().map(|o| o.file.as_str()).collect();
        let rows: Vec<String> = [0, 2, 4, 6]
            .map(|row| format!("{table}.parquet/{row}"))
            .into();
        assert_eq!(files, rows);
        for ((name, _, columns), (chunk, origin)) in PICTURES.iter().zip(set.iter().zip(origins)) {
            let luma = std::fs::read(fixtures().join(format!("{name}.luma"))).unwrap();
            for (row, pixels) in chunk.chunks(64).enumerate() {
                let at = origin.offset as usize + row * columns;
                let same = pixels
                    .iter()
                    .zip(&luma[at..at + 64])
                    .all(|(a, b)| a.abs_diff(*b) <= 1);
                assert!(same, "{name}, row {row}");
            }
        }
        crops.push(set.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    }
    assert_eq!(crops[0], crops[1]);
}

#[test]
fn the_seed_decides_where_pictures_are_cropped() {
    let path = fixtures().join("snappy.parquet");
    let offsets = |seed: u64, count: Option<usize>| {
        let params = ChunkParams {
            seed,
            count,
            ..params(Decoder::Image, 32, 64)
        };
        let set = chunks(std::slice::from_ref(&path), params).unwrap();
        assert_eq!(set.header().available, 4);
        set.header()
            .origins
            .iter()
            .map(|o| o.offset)
            .collect::<Vec<_>>()
    };
    assert_eq!(offsets(1, None), offsets(1, None));
    assert_ne!(offsets(1, None), offsets(2, None));
    assert_eq!(offsets(1, None)[..2], offsets(1, Some(2)));
}

#[test]
fn a_damaged_table_is_an_error_that_names_it() {
    let bytes = std::fs::read(fixtures().join("snappy.parquet")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = chunks(&[path], params(Decoder::Image, 32, 64)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`x.parquet` is not a valid Parquet"),
        "{error}"
    );
}

#[test]
fn pcm_of_a_flac_is_that_of_libsndfile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/eval/speech");
    let listing = std::fs::read_to_string(fixtures().join("speech.sha256")).unwrap();
    for line in listing.lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        let set = chunks(&[root.join(name)], params(Decoder::Speech, 1, 2)).unwrap();
        let pcm: Vec<u8> = set.iter().flatten().copied().collect();
        assert_eq!(sha256(&pcm), digest, "{name}");
    }
}
