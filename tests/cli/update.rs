//! `cpipe update`: accepts changed sources.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::env::{TestEnv, assert_shown};

const TEXT: &str = "assets/nano/eval/text/kjv-1-ruth.txt";

#[test]
fn nothing_changed_writes_nothing() {
    let env = TestEnv::study();
    let before = env.read("pipeline.yaml");
    let output = env.cpipe(&["update"]);
    assert_eq!(
        (output.code, output.text()),
        (0, "everything is as declared and locked\n")
    );
    assert_eq!(env.read("pipeline.yaml"), before);
}

#[test]
fn the_mode_of_the_file_stays_and_a_link_is_written_through() {
    let env = TestEnv::study();
    env.write("real/study.yaml", env.read("pipeline.yaml"));
    env.remove("pipeline.yaml");
    std::os::unix::fs::symlink("real/study.yaml", env.path("pipeline.yaml")).unwrap();
    let real = env.path("real/study.yaml");
    std::fs::set_permissions(&real, Permissions::from_mode(0o664)).unwrap();
    env.change(TEXT, |text| text[0] ^= 1);
    let before = env.read("real/study.yaml");
    env.cpipe(&["update"]).assert_code(0);
    assert!(env.path("pipeline.yaml").is_symlink());
    assert_ne!(env.read("real/study.yaml"), before);
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o664);
}

#[test]
fn only_the_digest_changes_in_the_file() {
    let env = TestEnv::study();
    let before = env.read("pipeline.yaml");
    env.change(TEXT, |text| text[0] ^= 1);
    let output = env.cpipe(&["update"]);
    output.assert_code(0);
    let after = env.read("pipeline.yaml");
    let differ: Vec<(&str, &str)> = before
        .lines()
        .zip(after.lines())
        .filter(|(a, b)| a != b)
        .collect();
    assert_eq!(differ.len(), 1, "{differ:?}");
    assert!(
        differ[0]
            .1
            .contains("eval/text: { path: assets/nano/eval/text, blake3: ")
    );
    assert_eq!(before.len(), after.len());
    assert_shown!(env, output);
    assert_eq!(env.run(&["corpus"]).assert_done().executed.len(), 3);
}

#[test]
fn an_unpinned_source_that_is_named_is_told_with_what_would_pin_it() {
    let env = TestEnv::study();
    let pinned = env.read("pipeline.yaml");
    let line = pinned.lines().find(|l| l.contains("eval/text:")).unwrap();
    let (loose, pin) = line.split_once(", blake3: ").unwrap();
    env.replace("pipeline.yaml", line, &format!("{loose} }}"));
    let output = env.cpipe(&["update", "eval/text"]);
    output.assert_code(0);
    let pin = pin.trim_end_matches([' ', '}']);
    assert!(
        output.text().contains(&format!("`blake3: {pin}`")),
        "{}",
        output.text()
    );
    assert_eq!(
        env.cpipe(&["update"]).text(),
        "every source with a digest is as declared and locked\n1 source has no digest and follows \
         its content: eval/text; `cpipe update --pin` pins it\n"
    );
}

#[test]
fn a_source_that_is_not_there_is_named_with_what_there_is() {
    let env = TestEnv::study();
    let output = env.cpipe(&["update", "eval/txet"]);
    output.assert_code(2);
    assert_shown!(env, output);
}

#[test]
fn a_missing_source_is_an_error_and_changes_nothing() {
    let env = TestEnv::study();
    let before = env.read("pipeline.yaml");
    env.remove("assets/nano/eval/text");
    let output = env.cpipe(&["update"]);
    output.assert_code(10);
    assert_eq!(env.read("pipeline.yaml"), before);
    assert_shown!(env, output);
}
