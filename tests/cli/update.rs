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
fn a_source_that_is_gone_stays_as_declared_and_holds_up_no_other() {
    let env = TestEnv::study();
    let pin = |env: &TestEnv| {
        let text = env.read("pipeline.yaml");
        let line = text.lines().find(|line| line.contains("eval/text:"));
        line.unwrap().to_owned()
    };
    let before = pin(&env);
    env.write("more.txt", "one\n");
    let zeros = "0".repeat(64);
    let more = format!("\n  more: {{ path: more.txt, blake3: \"{zeros}\" }}");
    env.replace("pipeline.yaml", &before, &format!("{before}{more}"));
    env.remove("assets/nano/eval/text");
    let named = env.cpipe(&["update", "eval/text", "more"]);
    let told = &named.assert_code(10).stderr;
    assert!(
        told.contains("source `eval/text`: it is gone from "),
        "{told}"
    );
    assert!(told.contains("and it stays as declared"), "{told}");
    assert!(env.read("pipeline.yaml").contains(&zeros));
    for args in [&["update"][..], &["update", "--pin"]] {
        let output = env.cpipe(args);
        let text = output.assert_code(0).text();
        assert!(text.contains("eval/text: it is gone from "), "{text}");
    }
    assert_eq!(pin(&env), before);
    assert!(!env.read("pipeline.yaml").contains(&zeros));
}

#[test]
fn a_source_that_no_run_has_seen_is_not_pinned_and_holds_up_no_other() {
    let env = TestEnv::of(
        "version: 1\nsources: { gone: { path: gone.txt }, here: { path: here.txt } }\nstages:\n  \
         here: { run: { download: { source: here } } }\n",
    );
    env.write("here.txt", "one\n");
    let output = env.cpipe(&["update", "--pin"]);
    let text = output.assert_code(0).text();
    assert!(text.contains("here: pinned, blake3:"), "{text}");
    assert!(text.contains("and no run has seen it"), "{text}");
    assert_eq!(env.read("pipeline.yaml").matches("blake3: ").count(), 1);
    env.cpipe(&["update", "--pin", "gone"]).assert_code(10);
}
