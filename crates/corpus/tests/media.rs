//! Every kind of sound and picture is decoded as libsndfile and PIL decode it, and what is cut,
//! damaged, of another kind or only a pointer is refused by name. Fixtures: `make_fixtures.py`.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::path::{Path, PathBuf};

use common::{decoded, fixtures, with_expected};
use cpipe_corpus::{Csv, Decoder, Files};
use cpipe_engine::StageError;

/// Pixels in a row of the fixtures.
const COLUMNS: usize = 65;

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn expected(path: &Path, ending: &str) -> Vec<u8> {
    std::fs::read(path.with_file_name(format!("{}.{ending}", name(path)))).unwrap()
}

#[test]
fn every_kind_of_sound_is_that_of_libsndfile_to_1_of_65536() {
    for path in with_expected("sound", "pcm") {
        let found = decoded(&path, Decoder::Speech, 2).unwrap();
        let expected = expected(&path, "pcm");
        assert_eq!(found.len(), expected.len(), "{}", name(&path));
        let samples = |bytes: &[u8]| -> Vec<i16> {
            let (pairs, _) = bytes.as_chunks();
            pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
        };
        let pairs = samples(&found).into_iter().zip(samples(&expected));
        let worst = pairs.map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst <= Some(1), "{}: {worst:?}", name(&path));
        // 16 bits, one channel and no loss: not one bit may differ.
        if name(&path).starts_with("s16.") {
            assert!(found == expected, "{}", name(&path));
        }
    }
}

#[test]
fn every_kind_of_picture_is_that_of_pil() {
    for path in with_expected("pictures", "luma") {
        let found = decoded(&path, Decoder::Image, COLUMNS).unwrap();
        let expected = expected(&path, "luma");
        assert_eq!(found.len(), expected.len(), "{}", name(&path));
        let pairs = found.iter().zip(&expected);
        let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max();
        // The transforms of JPEG are exact in no two decoders.
        let most = u8::from(path.extension().is_some_and(|e| e == "jpg"));
        assert!(worst <= Some(most), "{}: {worst:?}", name(&path));
    }
}

/// The error of decoding bytes as a file of that name, with its hint.
fn refused(name: &str, bytes: &[u8], decode: Decoder) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    match decoded(&path, decode, 1) {
        Ok(_) => panic!("{name} is decoded"),
        Err(error) => text(&error),
    }
}

fn text(error: &StageError) -> String {
    format!("{error} {error:?}")
}

fn decoder_of(path: &Path) -> Decoder {
    if path.parent().unwrap().ends_with("sound") {
        Decoder::Speech
    } else {
        Decoder::Image
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_by_name() {
    let mut paths: Vec<PathBuf> = with_expected("sound", "pcm");
    paths.extend(with_expected("pictures", "luma"));
    for path in paths {
        let (name, bytes) = (name(&path), std::fs::read(&path).unwrap());
        for keep in [0, 3, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let error = refused(&name, &bytes[..keep], decoder_of(&path));
            assert!(error.contains(&format!("`{name}")), "{keep} bytes: {error}");
            assert!(error.contains("is not a valid"), "{keep} bytes: {error}");
        }
    }
}

#[test]
fn damage_that_a_checksum_covers_is_refused_by_name() {
    for (file, what) in [
        ("sound/s16.flac", "FLAC"),
        ("sound/escaped.flac", "FLAC"),
        ("sound/vorbis.ogg", "checksum"),
        ("pictures/rgba.png", "checksum of its `IDAT` chunk"),
        ("pictures/rgb16.png", "checksum of its `IDAT` chunk"),
    ] {
        let path = fixtures().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let error = refused(&name(&path), &bytes, decoder_of(&path));
        assert!(
            error.contains(&name(&path)) && error.contains(what),
            "{error}"
        );
    }
}

#[test]
fn the_hash_of_a_flac_is_checked_and_zeros_mean_none() {
    let bytes = std::fs::read(fixtures().join("sound/s16.flac")).unwrap();
    let mut other = bytes.clone();
    other[26] ^= 1;
    let error = refused("a.flac", &other, Decoder::Speech);
    assert!(error.contains("MD5"), "{error}");
    let mut none = bytes;
    none[26..42].fill(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flac");
    std::fs::write(&path, none).unwrap();
    let found = decoded(&path, Decoder::Speech, 2).unwrap();
    assert!(found == std::fs::read(fixtures().join("sound/s16.flac.pcm")).unwrap());
}

#[test]
fn tags_before_and_behind_the_sound_do_not_matter() {
    for file in ["s16.flac", "mono.mp3"] {
        let path = fixtures().join("sound").join(file);
        let sound = std::fs::read(&path).unwrap();
        let front = [b"ID3\x03\0\0\0\0\0\x14".as_slice(), &[0; 20]].concat();
        let end = [b"TAG".as_slice(), &[0; 125]].concat();
        let dir = tempfile::tempdir().unwrap();
        let tagged = dir.path().join(file);
        std::fs::write(&tagged, [front, sound, end].concat()).unwrap();
        let found = decoded(&tagged, Decoder::Speech, 2).unwrap();
        assert!(
            found == decoded(&path, Decoder::Speech, 2).unwrap(),
            "{file}"
        );
    }
}

/// A PNG that declares `side` pixels each way.
fn png_of(side: u32) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [side.to_be_bytes(), side.to_be_bytes()].concat();
    let header = [header.as_slice(), &[8, 2, 0, 0, 0]].concat();
    for (kind, data) in [(b"IHDR", header.as_slice()), (b"IDAT", &[]), (b"IEND", &[])] {
        let covered = [kind.as_slice(), data].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&covered);
        out.extend((data.len() as u32).to_be_bytes());
        out.extend(covered);
        out.extend(crc.sum().to_be_bytes());
    }
    out
}

#[test]
fn a_picture_that_declares_too_much_is_refused_and_a_picture_without_pixels_too() {
    let error = refused("a.png", &png_of(100_000), Decoder::Image);
    assert!(error.contains("`a.png` is too large"), "{error}");
    assert!(error.contains("smaller files"), "{error}");
    let error = refused("a.png", &png_of(100), Decoder::Image);
    assert!(error.contains("`a.png` is not a valid PNG"), "{error}");
}

#[test]
fn a_jpeg_that_was_cut_and_closed_is_refused() {
    for file in [
        "pictures/restarts.jpg",
        "pictures/progressive.jpg",
        "420.jpg",
    ] {
        let bytes = std::fs::read(fixtures().join(file)).unwrap();
        for part in [2, 3] {
            let keep = bytes.len() - bytes.len() / (2 * part);
            let closed = [&bytes[..keep], b"\xFF\xD9"].concat();
            let error = refused("a.jpg", &closed, Decoder::Image);
            assert!(
                error.contains("`a.jpg` is not a valid JPEG file: it is"),
                "{error}"
            );
        }
    }
}

#[test]
fn restart_markers_of_a_jpeg_have_their_order() {
    let bytes = std::fs::read(fixtures().join("pictures/restarts.jpg")).unwrap();
    let is_restart = |pair: &[u8]| matches!(pair, [0xFF, 0xD0..=0xD7]);
    let found: Vec<usize> = (0..bytes.len() - 1)
        .filter(|at| is_restart(&bytes[*at..at + 2]))
        .collect();
    let (first, second) = (found[0], found[1]);
    let mut swapped = bytes.clone();
    swapped.swap(first + 1, second + 1);
    let one_missing = [&bytes[..first], &bytes[second..]].concat();
    let mut other_number = bytes;
    other_number[first + 1] ^= 4;
    for damaged in [swapped, one_missing, other_number] {
        let error = refused("a.jpg", &damaged, Decoder::Image);
        assert!(error.contains("restart markers"), "{error}");
    }
}

#[test]
fn a_table_of_paths_says_so_and_a_file_that_is_no_table_too() {
    let bytes = std::fs::read(fixtures().join("pictures/paths.parquet")).unwrap();
    let error = refused("a.parquet", &bytes, Decoder::Image);
    assert!(
        error.contains("row 0 holds the path `x/a.png` and no bytes"),
        "{error}"
    );
    assert!(error.contains("`image.bytes`"), "{error}");
    let more = [bytes.as_slice(), b"trailer"].concat();
    let encrypted = [&bytes[..bytes.len() - 4], b"PARE"].concat();
    for (bytes, what) in [
        (&b"<html>"[..], "its first bytes are not `PAR1`"),
        (&bytes[..bytes.len() - 1], "it is cut"),
        (&more, "7 bytes follow the `PAR1` at its end"),
        (&encrypted, "an encrypted table"),
    ] {
        let error = refused("a.parquet", bytes, Decoder::Image);
        assert!(
            error.contains("`a.parquet`") && error.contains(what),
            "{error}"
        );
    }
}

#[test]
fn a_table_of_another_type_and_a_file_without_a_chunk_are_named() {
    for (table, what) in [
        ("fixed", "`image` of the type FIXED_LEN_BYTE_ARRAY"),
        ("empty", "no whole chunk"),
    ] {
        let bytes = std::fs::read(fixtures().join(format!("{table}.parquet"))).unwrap();
        let error = refused("a.parquet", &bytes, Decoder::Image);
        assert!(
            error.contains("`a.parquet`") && error.contains(what),
            "{error}"
        );
    }
    let error = refused("a.txt", b"", Decoder::Text);
    assert!(
        error.contains("`a.txt`") && error.contains("no whole chunk"),
        "{error}"
    );
    let dir = tempfile::tempdir().unwrap();
    let paths = ["b.txt", "a.txt", "c.txt"].map(|name| dir.path().join(name));
    for path in &paths {
        std::fs::write(path, "").unwrap();
    }
    for (count, what) in [(2, "`a.txt` and `b.txt`"), (3, "`a.txt` and 2 other files")] {
        let error = common::chunks(&paths[..count], common::params(Decoder::Text, 1, 2));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_pointer_of_git_lfs_is_refused_by_every_decoder() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\n\
        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    let csv = Decoder::Csv(Csv {
        columns: vec!["a".into()],
        delimiter: ',',
    });
    let files = Decoder::Files(Files {
        extensions: vec!["rs".into()],
    });
    for (name, decode) in [
        ("a.wav", Decoder::Speech),
        ("a.png", Decoder::Image),
        ("a.parquet", Decoder::Image),
        ("a.csv", csv),
        ("a.rs", files),
        ("a.txt", Decoder::Text),
        ("a.bin", Decoder::Raw),
    ] {
        let error = refused(name, pointer, decode);
        assert!(
            error.contains(&format!("`{name}` is a pointer of Git LFS")),
            "{error}"
        );
        assert!(error.contains("git lfs pull"), "{error}");
    }
}

#[test]
fn kinds_that_are_not_read_are_named() {
    for (name, bytes, decode, what) in [
        (
            "a.w64",
            &b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"[..],
            Decoder::Speech,
            "W64",
        ),
        ("a.wav", b"RIFX\0\0\0\x04WAVE", Decoder::Speech, "RIFX"),
        ("a.wav", b"\0\0\0\x18ftypM4A ", Decoder::Speech, "M4A"),
        ("a.mp3", b"\xFF\xF1\x50\x80", Decoder::Speech, "AAC"),
        ("a.aac", b"\xFF\xF1\x50\x80", Decoder::Speech, "AAC"),
        ("a.au", b".snd\0\0\0\x18", Decoder::Speech, "Sun's"),
        ("a.snd", b".snd\0\0\0\x18", Decoder::Speech, "Sun's"),
        ("a.m4a", b"\0\0\0\x18ftypM4A ", Decoder::Speech, "M4A"),
        ("a.mka", b"\x1A\x45\xDF\xA3", Decoder::Speech, "Matroska"),
        ("a.png", b"\0\0\0\x1cftypavif", Decoder::Image, "Avif"),
    ] {
        let error = refused(name, bytes, decode);
        assert!(
            error.contains(&format!("`{name}`")) && error.contains(what),
            "{error}"
        );
        assert!(error.contains("convert it to"), "{error}");
    }
}
