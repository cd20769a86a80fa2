//! `cpipe plan` and `cpipe status`.

use serde_json::Value;

use crate::env::{TestEnv, assert_shown};

#[test]
fn a_plan_says_what_would_run_and_why() {
    let env = TestEnv::commands();
    assert_shown!(env, env.cpipe(&["plan"]));
}

#[test]
fn a_plan_after_a_run_is_empty() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    assert_eq!(
        env.cpipe(&["plan"]).text(),
        "2 up to date, 0 would run or may have to\n"
    );
}

#[test]
fn a_plan_shows_the_old_and_the_new_value() {
    let env = TestEnv::warm_study();
    assert_shown!(
        env,
        env.cpipe(&["plan", "--set", "stages.fit.run.fit.bootstrap=60"])
    );
}

#[test]
fn what_a_plan_says_is_what_a_run_does() {
    let env = TestEnv::warm_study();
    let change = ["--set", "stages.chunk.run.chunk.offset=1"];
    let plan = env.cpipe(&[&["plan", "--json"], change.as_slice()].concat());
    let line = |line| serde_json::from_str::<Value>(line).unwrap();
    let may_run: Vec<String> = plan
        .text()
        .lines()
        .map(line)
        .filter(|node| node["status"] != "cached")
        .map(|node| node["node"].as_str().unwrap().to_owned())
        .collect();
    let run = env.run(&change);
    assert_eq!(run.executed.len(), 3 + 3 + 27 + 3 + 3 + 1);
    assert!(run.executed.iter().all(|node| may_run.contains(node)));
}

#[test]
fn a_plan_takes_selectors_and_force() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    assert_shown!(env, env.cpipe(&["plan", "make", "--force", "make"]));
}

#[test]
fn status_counts_per_stage() {
    let env = TestEnv::study();
    env.run(&["tokenize"]).assert_done();
    assert_shown!(env, env.cpipe(&["status"]));
}

#[test]
fn status_as_json() {
    let env = TestEnv::commands();
    env.run(&["make"]).assert_done();
    assert_shown!(env, env.cpipe(&["status", "--json"]));
}
