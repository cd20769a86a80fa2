//! Random damage to every kind of file that is read: an error or a value, never a panic, and never
//! more memory than the stated limit.
//!
//! `CPIPE_TEST_DAMAGES=500` tries that many damages of each file (some tens of thousands in all).

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::path::{Path, PathBuf};

use common::{decoded, fixtures, with_expected};
use cpipe_corpus::{Csv, Decoder};
use peak_alloc::PeakAlloc;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of a decoded picture or sound and what its decoder needs beside, as docs/media.md has it.
const LIMIT: usize = 3 << 30;

/// What is tried with each file.
fn tries() -> u64 {
    let given = std::env::var("CPIPE_TEST_DAMAGES").ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// One to three cuts, flips, runs of one byte, copied pieces, or lengths that are made huge.
fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..=3) {
        if bytes.is_empty() {
            return;
        }
        // Headers decide more than what follows them.
        let end = if random.random_bool(0.5) {
            bytes.len().min(128)
        } else {
            bytes.len()
        };
        let at = random.random_range(0..end);
        let length = random.random_range(1..=16).min(bytes.len() - at);
        match random.random_range(0..6) {
            0 => bytes.truncate(at),
            1 | 2 => bytes[at] ^= 1 << random.random_range(0..8),
            3 => bytes[at..at + length].fill(random.random_range(0..=1) * 0xFF),
            4 => {
                let piece = bytes[at..at + length].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes[at] = random.random(),
        }
    }
}

fn files() -> Vec<(PathBuf, Decoder)> {
    let sounds = with_expected("sound", "pcm")
        .into_iter()
        .map(|path| (path, Decoder::Speech));
    let pictures = with_expected("pictures", "luma").into_iter();
    let tables = [
        "snappy.parquet",
        "zstd.parquet",
        "pictures/paths.parquet",
        "420.jpg",
    ];
    let others = tables.into_iter().map(|name| fixtures().join(name));
    let pictures = pictures.chain(others).map(|path| (path, Decoder::Image));
    sounds.chain(pictures).collect()
}

#[test]
fn damaged_files_are_errors_or_values() {
    let dir = tempfile::tempdir().unwrap();
    let (mut values, mut errors, mut greatest) = (0, 0, (0, String::new()));
    for (path, decode) in files() {
        let whole = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let damaged = dir.path().join(name);
        for seed in 0..tries() {
            let mut bytes = whole.clone();
            damage(&mut bytes, &mut ChaCha8Rng::seed_from_u64(seed));
            std::fs::write(&damaged, bytes).unwrap();
            let before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
            match try_one(&damaged, &decode) {
                Ok(()) => values += 1,
                Err(message) => {
                    errors += 1;
                    check_message(name, &message);
                }
            }
            let peak = MEMORY.peak_usage().saturating_sub(before);
            assert!(peak <= LIMIT, "{name} with seed {seed} takes {peak} bytes");
            if peak > greatest.0 {
                greatest = (peak, format!("{name} with seed {seed}"));
            }
        }
    }
    #[expect(clippy::print_stdout, reason = "shown with --nocapture")]
    {
        println!("{values} values, {errors} errors, at most {greatest:?} bytes of memory");
    }
}

fn try_one(path: &Path, decode: &Decoder) -> Result<(), String> {
    let found = std::panic::catch_unwind(|| decoded(path, decode.clone(), 32));
    match found {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            // What made it panic, for a look at it.
            let kept = std::env::temp_dir().join(format!(
                "panic-{}",
                path.file_name().unwrap().to_str().unwrap()
            ));
            std::fs::copy(path, &kept).unwrap();
            panic!("{} makes a decoder panic", kept.display());
        }
    }
}

fn check_message(name: &str, message: &str) {
    assert!(message.contains(&format!("`{name}")), "{message}");
}

#[test]
fn damaged_tables_of_text_are_errors_or_values() {
    let csv = Decoder::Csv(Csv {
        columns: vec!["text".into()],
        delimiter: ',',
    });
    let records = "1,\"a, b\"\"c\"\"\",x\n2,dé,\"\n\"\r\n".repeat(20);
    let whole = format!("id,text,note\n{records}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    for seed in 0..tries() * 20 {
        let mut bytes = whole.clone().into_bytes();
        damage(&mut bytes, &mut ChaCha8Rng::seed_from_u64(seed));
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = decoded(&path, csv.clone(), 32) {
            check_message("a.csv", &error.to_string());
        }
    }
}
