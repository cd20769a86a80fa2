use std::path::Path;

use super::*;

/// Mean ratio chunk by chunk, and the ratio of the whole.
fn ratios(method: Method, raw: &[u8]) -> (f64, f64) {
    let chunks: Vec<&[u8]> = raw.chunks_exact(2048).collect();
    let rows = rows(method, &chunks).unwrap();
    let (whole, each) = rows.split_last().unwrap();
    assert_eq!(each.len(), chunks.len());
    assert_eq!(whole.protocol, format!("{}, whole", method.name()));
    let mean = each.iter().map(|row| row.cr).sum::<f64>() / each.len() as f64;
    (mean, whole.cr)
}

fn nano(modality: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/eval");
    std::fs::read(root.join(format!("{modality}.bin"))).unwrap()
}

fn near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() < within, "{found} for {expected}");
}

/// Figures of the same chunks by the original programs (gzip 1.12, xz 5.4.1; Python's zlib and lzma).
#[test]
#[expect(clippy::print_stderr, reason = "says why nothing was tested")]
fn enwik8_comes_out_as_the_original_programs_say() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/enwik8-head/enwik8.head");
    let Ok(raw) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let (each, whole) = ratios(Method::Gzip, &raw);
    near(each, 0.491, 0.004);
    near(whole, 0.365, 0.003);
    let (each, whole) = ratios(Method::Xz, &raw);
    near(each, 0.513, 0.002);
    near(whole, 0.282, 0.002);
}

#[test]
fn each_method_is_best_at_home() {
    let (text, image, speech) = (nano("text"), nano("image"), nano("speech"));
    let each = |method, raw: &[u8]| ratios(method, raw).0;
    // By zlib -9 chunk by chunk, as the suite's README has it, each with six bytes around the same
    // code; here what one byte compresses to is taken off, three bytes of code among it.
    let around = 9.0 / 2048.0;
    near(each(Method::Gzip, &text), 0.444 - around, 0.002);
    near(each(Method::Gzip, &image), 0.743 - around, 0.002);
    near(each(Method::Gzip, &speech), 0.898 - around, 0.002);
    assert!(each(Method::Png, &image) < each(Method::Gzip, &image) - 0.05);
    assert!(each(Method::Flac, &speech) < each(Method::Gzip, &speech) - 0.05);
    assert!(ratios(Method::Order2, &text).1 < ratios(Method::Order0, &text).1);
    assert_eq!(ratios(Method::Uniform, &text), (1.0, 1.0));
    for method in [Method::Bzip2, Method::Zstd, Method::Brotli, Method::Xz] {
        let (each, whole) = ratios(method, &text);
        assert!(
            whole < each && (0.2..0.55).contains(&whole) && each < 0.65,
            "{method:?}"
        );
    }
}

#[test]
fn adaptive_models_learn_what_they_can() {
    let coin: Vec<u8> = (0u32..4096)
        .map(|i| b'a' + (i.wrapping_mul(2_654_435_761) >> 31) as u8)
        .collect();
    let bits = model::adaptive_bits(&coin, 0) / 4096.0;
    assert!((1.0..1.25).contains(&bits), "{bits}");
    let cycle: Vec<u8> = b"abcd".repeat(1024);
    assert!(model::adaptive_bits(&cycle, 2) < 150.0);
    assert!((model::adaptive_bits(b"x", 2) - 8.0).abs() < 1e-12);
}

#[test]
fn a_chunk_that_does_not_fit_a_format_is_refused() {
    let error = rows(Method::Png, &[&[0; 100]]).unwrap_err();
    assert!(
        error.contains("64 bytes") && error.contains("`methods`"),
        "{error}"
    );
    assert!(rows(Method::Flac, &[&[0; 101]]).is_err());
}

#[test]
fn parameters_are_checked() {
    let params = |methods| BaselineParams { methods };
    assert!(Baseline::new(params(vec![])).is_err());
    let twice = Baseline::new(params(vec![Method::Xz, Method::Xz]))
        .err()
        .unwrap();
    assert_eq!(twice.0, "methods.1");
    assert_eq!(
        serde_json::from_str::<BaselineParams>("{}")
            .unwrap()
            .methods
            .len(),
        10
    );
}
