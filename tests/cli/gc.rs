//! `cpipe gc`: frees what no node's last result needs.

use crate::env::{TestEnv, assert_shown};

#[test]
fn a_dry_run_says_what_it_would_free_and_frees_nothing() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    env.run(&["--set", "word=bye"]).assert_done();
    let before = env.files("cache/v1/blobs");
    let output = env.cpipe(&["gc", "--dry-run"]);
    output.assert_code(0);
    assert!(env.files("cache/v1/blobs") == before);
    assert_shown!(env, output);
}

#[test]
fn what_the_last_results_need_stays() {
    let env = TestEnv::commands();
    env.run(&["--set", "word=bye"]).assert_done();
    env.run(&[]).assert_done();
    env.cpipe(&["gc"]).assert_code(0);
    let blobs = env.files("cache/v1/blobs").len();
    assert_eq!(blobs, 2, "made.txt and joined.txt");
    env.remove("outputs");
    env.run(&[]).assert_executed(&[]);
    env.run(&["--set", "word=bye"])
        .assert_executed(&["join", "make"]);
}

#[test]
fn nothing_is_freed_twice_and_a_study_stays_whole() {
    let env = TestEnv::warm_study();
    env.run(&["--set", "bootstrap=60"]).assert_done();
    env.run(&[]).assert_executed(&[]);
    env.cpipe(&["gc"]).assert_code(0);
    let again = env.cpipe(&["gc"]);
    assert!(
        again.text().starts_with("freed: 0 results and 0 blobs"),
        "{}",
        again.text()
    );
    env.run(&[]).assert_executed(&[]);
    env.cpipe(&["verify"]).assert_code(0);
    env.run(&["--only", "fit", "--only", "plot", "--force", "plot"])
        .assert_executed(&["plot"]);
}

#[test]
fn the_results_of_every_profile_stay() {
    let env = TestEnv::commands();
    let profiles = "\nprofiles:\n  loud: { vars: { word: HELLO } }\n";
    env.write("pipeline.yaml", env.read("pipeline.yaml") + profiles);
    env.run(&[]).assert_done();
    env.run(&["--profile", "loud"]).assert_done();
    env.cpipe(&["gc"]).assert_code(0);
    env.run(&[]).assert_executed(&[]);
    env.run(&["--profile", "loud"]).assert_executed(&[]);
}
