//! Files that are not what they should be, and a cache that can't be used: the message names the
//! file, nothing is recorded as a result, and nothing half-written is in outputs/.

use crate::env::{TestEnv, assert_shown};

const TEXT: &str = "assets/nano/eval/text/kjv-1-ruth.txt";
const WEIGHTS: &str = "assets/nano/models/nano-25k/step64/model.safetensors";
const CELL: &str = "score[model=nano-25k,step=64,modality=text]";

/// Damages a file of the study, accepts that as meant, and shows what a run of `selector` says.
macro_rules! assert_damage_is_told {
    ($selector:expr, $file:expr, $change:expr) => {{
        let env = TestEnv::study();
        env.change($file, $change);
        env.cpipe(&["update"]).assert_code(0);
        let output = env.cpipe(&["run", "-j1", $selector]);
        output.assert_code(20);
        assert!(env.files("outputs").is_empty());
        let again = env.run(&[$selector]);
        assert!(
            again.executed.is_empty() && again.failed.len() == 1,
            "{again:?}"
        );
        assert_shown!(env, output);
    }};
}

#[test]
fn a_source_that_is_not_as_declared_stops_the_run_with_both_digests() {
    let env = TestEnv::study();
    env.change(TEXT, |text| text[0] ^= 1);
    let output = env.cpipe(&["run"]);
    output.assert_code(10);
    assert!(env.files("cache/v1/actions").is_empty() && env.files("outputs").is_empty());
    let declared = "a00c0e445831043b09c6327eb57f6a1ed99b2e67d97c8f540f3148391f57397f";
    assert!(
        output
            .stderr
            .contains(&format!("declared blake3:{declared}, found blake3:"))
    );
    let found = output.stderr.split("found blake3:").nth(1).unwrap();
    assert_ne!(&found[..64], declared);
    assert_shown!(env, output);
}

/// Two files of equal bytes come in under their own names, also when one was there before the other.
#[test]
fn a_file_comes_in_under_its_own_name() {
    let env = TestEnv::of(
        "version: 1\nsources: { a: { path: a.txt }, b: { path: b.csv } }\nstages:\n  a: { run: { download: { source: a } }, export: a }\n  b: { run: { download: { source: b } }, export: b }\n",
    );
    env.write("a.txt", "same\n");
    env.write("b.csv", "same\n");
    env.run(&["a"]).assert_executed(&["a"]);
    env.run(&[]).assert_executed(&["b"]);
    assert_eq!(env.read("outputs/a/files/a.txt"), "same\n");
    assert_eq!(env.read("outputs/b/files/b.csv"), "same\n");
    // A rename is seen, and what is gone is found under the name that it had.
    std::fs::rename(env.path("a.txt"), env.path("c.txt")).unwrap();
    env.run(&[]).assert_executed(&[]);
    env.replace("pipeline.yaml", "path: a.txt", "path: c.txt");
    env.run(&[]).assert_executed(&["a"]);
    assert_eq!(env.read("outputs/a/files/c.txt"), "same\n");
    env.remove("b.csv");
    env.remove("outputs");
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read("outputs/b/files/b.csv"), "same\n");
}

#[test]
fn a_source_by_sha256_is_checked_too() {
    let env = TestEnv::of(
        "version: 1\nsources:\n  one: { path: one.txt, sha256: 2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806 }\nstages:\n  one:\n    run: { download: { source: one } }\n    export: .\n",
    );
    env.write("one.txt", "one\n");
    env.run(&[]).assert_executed(&["one"]);
    assert_eq!(env.read("outputs/files/one.txt"), "one\n");
    env.write("one.txt", "two\n");
    let output = env.cpipe(&["run"]);
    output.assert_code(10);
    assert!(
        output.stderr.contains(
            "found sha256:27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a"
        )
    );
}

#[test]
fn a_missing_source_stops_the_run() {
    let env = TestEnv::study();
    env.remove("assets/nano/tokenizer/tokenizer.json");
    let output = env.cpipe(&["run"]);
    output.assert_code(10);
    assert_shown!(env, output);
}

#[test]
fn a_missing_file_of_a_command_stops_the_run() {
    let env = TestEnv::commands();
    env.remove("data/in.txt");
    let output = env.cpipe(&["run"]);
    output.assert_code(10);
    assert_shown!(env, output);
}

#[test]
fn truncated_safetensors() {
    assert_damage_is_told!(CELL, WEIGHTS, |bytes| bytes.truncate(100_000));
}

#[test]
fn safetensors_cut_in_its_header() {
    assert_damage_is_told!(CELL, WEIGHTS, |bytes| bytes.truncate(1000));
}

#[test]
fn safetensors_with_an_absurd_header_length() {
    assert_damage_is_told!(CELL, WEIGHTS, |bytes| bytes[..8].fill(0xff));
}

#[test]
fn safetensors_of_another_shape() {
    let other = "assets/nano/models/nano-57k/step64/model.safetensors";
    let other = std::fs::read(crate::env::repository().join(other)).unwrap();
    assert_damage_is_told!(CELL, WEIGHTS, |bytes| bytes.clone_from(&other));
}

#[test]
fn a_model_without_weights() {
    let env = TestEnv::study();
    env.remove(WEIGHTS);
    env.cpipe(&["update"]).assert_code(0);
    let output = env.cpipe(&["run", "-j1", CELL]);
    output.assert_code(20);
    assert_shown!(env, output);
}

#[test]
fn corrupt_config() {
    let config = "assets/nano/models/nano-25k/step64/config.json";
    assert_damage_is_told!(CELL, config, |text| text.truncate(text.len() / 2));
}

#[test]
fn corrupt_tokenizer() {
    let file = "assets/nano/tokenizer/tokenizer.json";
    let cell = "tokenize[modality=text]";
    assert_damage_is_told!(cell, file, |text| text.truncate(5000));
}

#[test]
fn a_tokenizer_that_is_other_json() {
    let file = "assets/nano/tokenizer/tokenizer.json";
    let cell = "tokenize[modality=text]";
    assert_damage_is_told!(cell, file, |text| *text =
        b"{\"version\": \"1.0\"}".to_vec());
}

#[test]
fn corrupt_png() {
    let file = "assets/nano/eval/image/chelsea.png";
    assert_damage_is_told!("chunk[modality=image]", file, |bytes| bytes
        .truncate(20_000));
}

#[test]
fn corrupt_flac() {
    let file = "assets/nano/eval/speech/conf-full.flac";
    assert_damage_is_told!("chunk[modality=speech]", file, |bytes| bytes
        .truncate(20_000));
}

#[test]
fn sound_that_is_no_sound() {
    let file = "assets/nano/eval/speech/conf-full.flac";
    assert_damage_is_told!("chunk[modality=speech]", file, |bytes| *bytes =
        b"hello".to_vec());
}

#[test]
fn fewer_chunks_than_asked_for() {
    let env = TestEnv::study();
    let output = env.cpipe(&["run", "-j1", "chunk[modality=text]", "--set", "chunks=9999"]);
    output.assert_code(20);
    assert_shown!(env, output);
}

#[test]
fn a_cache_folder_that_is_a_file() {
    let env = TestEnv::commands();
    env.write("cache", "not a folder");
    for command in ["run", "plan", "status", "verify", "gc"] {
        env.cpipe(&[command]).assert_code(30);
    }
    assert_shown!(env, env.cpipe(&["run"]));
    assert!(env.files("outputs").is_empty());
}

#[test]
fn a_cache_where_nothing_can_be_written() {
    let env = TestEnv::commands();
    let output = env.cpipe(&["run", "--cache", "/proc/cpipe"]);
    output.assert_code(30);
    assert_shown!(env, output);
}

#[test]
fn outputs_that_cannot_be_written() {
    let env = TestEnv::commands();
    env.write("outputs", "not a folder");
    let output = env.cpipe(&["run", "-j1"]);
    output.assert_code(30);
    assert_shown!(env, output);
    // Programs that read the events see their end all the same.
    assert_eq!(env.run(&[]).code, 30);
    env.remove("outputs");
    env.run(&[]).assert_executed(&[]);
}

#[test]
fn a_source_that_holds_the_cache_or_the_outputs_is_refused_before_any_work() {
    let study = |path: &str| {
        let env = TestEnv::of(&format!(
            "version: 1\nsources: {{ all: {{ path: {path} }} }}\nstages:\n  \
             all: {{ run: {{ download: {{ source: all }} }} }}\n"
        ));
        env.write("data/x", "x\n");
        std::os::unix::fs::symlink(".", env.path("link")).unwrap();
        env
    };
    for (path, cache, held) in [
        (".", "cache", "the cache itself"),
        ("..", "cache", "the cache itself"),
        ("link", "cache", "the cache itself"),
        (".", "/elsewhere", "the outputs folder itself"),
        ("data", "data/cache", "the cache itself"),
        ("outputs", "cache", "the outputs folder itself"),
    ] {
        let env = study(path);
        env.write("outputs/x", "x\n");
        let elsewhere = tempfile::tempdir().unwrap();
        let cache = match cache.strip_prefix('/') {
            Some(_) => elsewhere.path().to_str().unwrap(),
            None => cache,
        };
        let output = env.cpipe(&["run", "--cache", cache]);
        let told = &output.assert_code(10).stderr;
        assert!(
            told.contains(&format!("source `all` holds {held}")),
            "{path}: {told}"
        );
        assert!(told.contains("name a folder below it"), "{told}");
    }
    study("data").run(&[]).assert_done();
    let env = TestEnv::commands();
    env.replace("pipeline.yaml", "files: [data/in.txt]", "files: [data]");
    let output = env.cpipe(&["run", "--cache", "data/cache"]);
    let told = &output.assert_code(10).stderr;
    assert!(
        told.contains("what make reads holds the cache itself"),
        "{told}"
    );
}
