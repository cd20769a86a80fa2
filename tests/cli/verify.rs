//! `cpipe verify`: damage is named, taken out, and made good by the next run.

use std::path::PathBuf;

use crate::env::{TestEnv, assert_shown};

/// Flips a bit in the blob that holds exactly `content`; returns where it lies.
pub(crate) fn flip(env: &TestEnv, content: &[u8]) -> PathBuf {
    let blobs = env.files("cache/v1/blobs");
    let (name, _) = blobs.iter().find(|(_, bytes)| *bytes == content).unwrap();
    let path = env.path("cache/v1/blobs").join(name);
    let mut bytes = content.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Blobs are read-only; a decaying disk does not care.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_whole_cache_is_fine() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    assert_shown!(env, env.cpipe(&["verify"]));
}

#[test]
fn a_flipped_bit_is_named() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    let blob = flip(&env, b"one\nhello\n");
    let output = env.cpipe(&["verify"]);
    output.assert_code(30);
    let damaged = std::fs::canonicalize(&blob).unwrap();
    let line = format!("damaged: {}", damaged.display());
    assert!(output.text().contains(&line), "{}", output.text());
    env.cpipe(&["verify"]).assert_code(30);
    assert_shown!(env, output);
}

#[test]
fn repair_takes_it_out_and_a_run_makes_what_is_needed() {
    let env = TestEnv::warm_study();
    let before = env.files("outputs");
    flip(&env, &before["fits.json"]);
    env.cpipe(&["verify", "--repair"]).assert_code(0);
    env.cpipe(&["verify"]).assert_code(0);
    env.remove("outputs");
    env.run(&[]).assert_executed(&["fit"]);
    assert!(env.files("outputs") == before);
    env.cpipe(&["verify"]).assert_code(0);
}

#[test]
fn a_run_heals_what_it_needs_without_verify() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    flip(&env, b"one\nhello\n");
    env.run(&["--force", "join"])
        .assert_executed(&["join", "make"]);
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
}

#[test]
fn a_damaged_blob_is_never_shown() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    flip(&env, b"one\nhello\none\nhello\n");
    let output = env.cpipe(&["cat", "join:joined.txt"]);
    output.assert_code(30);
    assert!(output.stdout.is_empty());
    assert_shown!(env, output);
    env.run(&["--force", "join"]).assert_executed(&["join"]);
    let healed = env.cpipe(&["cat", "join:joined.txt"]);
    assert_eq!(healed.text(), "one\nhello\none\nhello\n");
}

#[test]
fn a_broken_record_is_named_and_its_node_runs_again() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    let records = env.files("cache/v1/actions");
    for name in records
        .keys()
        .filter(|name| !name.ends_with(".action.json"))
    {
        env.write(&format!("cache/v1/actions/{name}"), "{ cut");
    }
    let output = env.cpipe(&["verify"]);
    output.assert_code(30);
    assert_eq!(output.text().matches("damaged: ").count(), 2);
    env.cpipe(&["verify", "--repair"]).assert_code(0);
    env.run(&[]).assert_executed(&["join", "make"]);
}
