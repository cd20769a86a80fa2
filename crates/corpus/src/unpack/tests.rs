//! Honest archives come out whole, others not at all.

use std::io::Write;
use std::path::Path;

use super::*;
use crate::archives::{gzip, header_of, tar, zip};

const FILES: [(&str, &[u8]); 2] = [("a/one.txt", b"first"), ("two.txt", b"second")];

pub(super) fn unpacked(
    kind: Unpack,
    name: &str,
    bytes: &[u8],
) -> Result<tempfile::TempDir, UnpackError> {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    std::fs::write(&archive, bytes).unwrap();
    let target = dir.path().join("in/files");
    std::fs::create_dir_all(&target).unwrap();
    let done = unpack_file(kind, name, &archive, &target);
    let outside = ["in/evil", "evil"].map(|name| dir.path().join(name));
    assert!(
        outside.iter().all(|path| !path.exists()),
        "something got out"
    );
    done.map(|()| dir)
}

fn read(dir: &tempfile::TempDir, name: &str) -> Vec<u8> {
    std::fs::read(dir.path().join("in/files").join(name)).unwrap()
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(root.join(name)).unwrap()
}

pub(super) fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_format_gives_the_files() {
    let plain = tar(&FILES);
    let archives = [
        (Unpack::Zip, zip(&FILES, 0o100_644)),
        (Unpack::TarGz, gzip(&plain)),
        (Unpack::TarXz, fixture("files.tar.xz")),
        (Unpack::TarZst, zst(&plain)),
        (Unpack::Tar, plain),
    ];
    for (kind, bytes) in archives {
        let dir = unpacked(kind, "x", &bytes).unwrap();
        assert_eq!(read(&dir, "a/one.txt"), b"first", "{kind:?}");
        assert_eq!(read(&dir, "two.txt"), b"second", "{kind:?}");
    }
    for (kind, name, bytes) in [
        (Unpack::Gz, "x.txt.gz", gzip(b"hello")),
        (Unpack::Xz, "x.txt.xz", fixture("hello.txt.xz")),
        (Unpack::Zst, "x.txt.zst", zst(b"hello")),
    ] {
        assert_eq!(
            read(&unpacked(kind, name, &bytes).unwrap(), "x.txt"),
            b"hello"
        );
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../evil", "a/../../evil", "/tmp/cpipe-evil", "..\\evil", ""] {
        let files = [("good", &b"x"[..]), (name, b"x")];
        for (kind, bytes) in [
            (Unpack::Zip, zip(&files, 0o100_644)),
            (Unpack::Tar, tar(&files)),
        ] {
            let error = unpacked(kind, "x", &bytes).unwrap_err();
            let refused = matches!(error, UnpackError::Refused { .. } | UnpackError::Io { .. });
            assert!(refused, "{name}: {error}");
        }
    }
    assert!(!Path::new("/tmp/cpipe-evil").exists());
}

/// A tar archive of one link.
fn tar_link(kind: ::tar::EntryType, name: &str, target: &str) -> Vec<u8> {
    let mut out = ::tar::Builder::new(Vec::new());
    let mut header = header_of(name, kind, 0);
    header.set_link_name_literal(target).unwrap();
    header.set_cksum();
    out.append(&header, &b""[..]).unwrap();
    out.into_inner().unwrap()
}

#[test]
fn links_are_refused() {
    use ::tar::EntryType::{Link, Symlink};
    for kind in [Symlink, Link] {
        for target in ["/etc/passwd", "../../evil", "two.txt"] {
            let error = unpacked(Unpack::Tar, "x", &tar_link(kind, "l", target)).unwrap_err();
            assert!(error.to_string().contains("is a link"), "{error}");
        }
    }
    let error = unpacked(Unpack::Zip, "x", &zip(&[("l", b"/etc")], 0o120_777)).unwrap_err();
    assert!(error.to_string().contains("is a link"), "{error}");
}

#[test]
fn a_file_that_is_there_twice_is_refused() {
    let files = [("same", &b"x"[..]), ("same", b"y")];
    let error = unpacked(Unpack::Tar, "x", &tar(&files)).unwrap_err();
    assert!(error.to_string().contains("is there twice"), "{error}");
}

#[test]
fn a_bomb_does_not_go_off() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0; 1 << 20];
    for _ in 0..200 {
        encoder.write_all(&block).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    assert!(bytes.len() < 300_000);
    let error = unpacked(Unpack::Gz, "bomb.gz", &bytes).unwrap_err();
    assert!(matches!(error, UnpackError::Bomb { .. }), "{error}");
}

#[test]
fn truncated_and_damaged_archives_are_errors() {
    let big: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let files = [("a", &big[..]), ("b", b"x")];
    let plain = tar(&files);
    for (kind, bytes) in [
        (Unpack::Zip, zip(&files, 0o100_644)),
        (Unpack::TarGz, gzip(&plain)),
        (Unpack::TarZst, zst(&plain)),
        (Unpack::Gz, gzip(&big)),
        (Unpack::Zst, zst(&big)),
        (Unpack::TarXz, fixture("files.tar.xz")),
    ] {
        for keep in [0, 1, bytes.len() / 3, bytes.len() - 9, bytes.len() - 1] {
            let error = unpacked(kind, "x", &bytes[..keep]).map(drop).unwrap_err();
            assert!(
                matches!(error, UnpackError::Damaged { .. }),
                "{kind:?} {keep}: {error}"
            );
        }
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x10;
        assert!(
            unpacked(kind, "x", &flipped).is_err(),
            "{kind:?}: a flipped bit"
        );
    }
}

fn speech(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/eval/speech");
    std::fs::read(root.join(name)).unwrap()
}

#[test]
fn the_beginning_of_a_corpus_is_taken_in_its_order_and_no_more_is_read() {
    let (one, two) = (speech("vm-messages.flac"), speech("vm-advopts.flac"));
    let rest = vec![7; 30_000_000];
    let files = [
        ("c/README", &b"x"[..]),
        ("c/z/z.flac", &one),
        ("c/a/a.flac", &two),
        ("c/b.flac", &rest),
    ];
    let archive = gzip(&tar(&files));
    let dir = tempfile::tempdir().unwrap();
    let pcm = |flac: &[u8]| crate::sound::duration(flac).unwrap().0 * 2;
    let take = Take::Speech(pcm(&one) + 1);
    let mut reader = std::io::Cursor::new(&archive);
    take_beginning(Unpack::TarGz, take, "c.tar.gz", &mut reader, dir.path()).unwrap();
    assert!(
        reader.position() < archive.len() as u64 / 2,
        "{} bytes read",
        reader.position()
    );
    assert_eq!(std::fs::read(dir.path().join("00000-z.flac")).unwrap(), one);
    assert_eq!(std::fs::read(dir.path().join("00001-a.flac")).unwrap(), two);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    let dir = tempfile::tempdir().unwrap();
    let short = gzip(&tar(&files[..2]));
    let error =
        take_beginning(Unpack::TarGz, take, "c.tar.gz", &short[..], dir.path()).unwrap_err();
    assert!(matches!(error, UnpackError::TooShort { .. }), "{error}");
}
