//! Random damage to archives: an error or files inside the target, never a panic.
//!
//! `CPIPE_TEST_DAMAGES=500` tries that many of each kind. Memory is bounded by what the formats allow: the
//! window of zstd (128 MiB), the dictionary of xz (1 GiB, see `stream`), and what is on disk by `Guard`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::tests::{fixture, unpacked, zst};
use super::*;
use crate::archives::{gzip, tar, zip};

#[test]
fn damaged_archives_are_errors_or_files() {
    let tries = std::env::var("CPIPE_TEST_DAMAGES").ok();
    let tries = tries.and_then(|n| n.parse().ok()).unwrap_or(16);
    let long = vec![b'x'; 40_000];
    let files = [("a/one.txt", &b"first"[..]), ("two.txt", &long)];
    let plain = tar(&files);
    let archives = [
        (Unpack::Zip, zip(&files, 0o100_644)),
        (Unpack::TarGz, gzip(&plain)),
        (Unpack::TarXz, fixture("files.tar.xz")),
        (Unpack::TarZst, zst(&plain)),
        (Unpack::Tar, plain),
        (Unpack::Gz, gzip(b"hello")),
        (Unpack::Xz, fixture("hello.txt.xz")),
        (Unpack::Zst, zst(b"hello")),
    ];
    for (kind, whole) in archives {
        for seed in 0..tries {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..=3) {
                let end = bytes
                    .len()
                    .min(if random.random() { 600 } else { usize::MAX });
                let at = random
                    .random_range(0..end.max(1))
                    .min(bytes.len().saturating_sub(1));
                match random.random_range(0..3) {
                    0 => bytes.truncate(at),
                    1 => bytes
                        .iter_mut()
                        .skip(at)
                        .take(1)
                        .for_each(|b| *b ^= 1 << random.random_range(0..8)),
                    _ => bytes.iter_mut().skip(at).take(8).for_each(|b| *b = 0xFF),
                }
            }
            // Also checks that nothing is written outside the target.
            if let Err(error) = unpacked(kind, "x.txt.gz", &bytes) {
                let text = error.to_string();
                let names_it =
                    text.contains("`x.txt.gz`") || matches!(error, UnpackError::Io { .. });
                assert!(names_it, "{kind:?}, seed {seed}: {text}");
            }
        }
    }
}

#[test]
fn a_pointer_in_an_archives_place_is_named() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for kind in [Unpack::Zip, Unpack::TarGz, Unpack::Tar, Unpack::Zst] {
        let error = unpacked(kind, "x.zip", pointer).unwrap_err().to_string();
        assert!(error.contains("`x.zip` is a pointer of Git LFS"), "{error}");
    }
}
