//! What is kept of runs: runs, show, log, diff, why, du.

use crate::env::{TestEnv, assert_shown};

#[test]
fn every_run_is_on_record() {
    let env = TestEnv::commands();
    env.run(&["--name", "first"]).assert_done();
    env.run(&["--set", "word=bye"]).assert_done();
    let runs = env.cpipe(&["runs"]);
    let lines: Vec<&str> = runs.assert_code(0).text().lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].ends_with(" first"), "{}", lines[1]);
    let json = env.cpipe(&["runs", "--json", "--last", "1"]);
    let record: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!(record["state"], "done");
    assert_eq!(record["executed"], 2);
    assert_eq!(record["info"]["overrides"][0][1], "bye");
    let shown = env.cpipe(&["show", "latest~1"]);
    assert!(
        shown.text().contains("executed    make"),
        "{}",
        shown.text()
    );
    let shown = env.cpipe(&["show", "first", "--json"]);
    let run: serde_json::Value = serde_json::from_str(shown.text()).unwrap();
    assert_eq!(run["nodes"].as_array().unwrap().len(), 2);
    assert!(run["nodes"][0]["peak_memory"].as_u64().unwrap() > 0);
}

#[test]
fn a_node_is_shown_with_its_action_and_artifacts() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    let shown = env.cpipe(&["show", "join"]);
    let text = shown.assert_code(0).text();
    for part in [
        "key  ",
        "stage      command version 1",
        "input      made/made.txt",
        "output     joined.txt",
        "took  ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    env.cpipe(&["show", "jion"]).assert_code(2);
}

#[test]
fn a_log_has_what_a_program_said_also_when_it_failed() {
    let env = TestEnv::commands();
    env.replace(
        "pipeline.yaml",
        "cat data/in.txt >",
        "echo said; echo more >&2; cat data/in.txt >",
    );
    env.run(&[]).assert_done();
    assert_eq!(env.cpipe(&["log", "make"]).text(), "said\nmore\n");
    let silent = env.cpipe(&["log", "join"]);
    assert_eq!((silent.code, silent.text()), (0, ""));
    assert!(
        silent
            .stderr
            .contains("join: its program has not run, or said nothing")
    );
    env.replace(
        "pipeline.yaml",
        "cat made/made.txt made/made.txt",
        "echo no; false; cat made/made.txt",
    );
    env.replace("pipeline.yaml", "echo no; false;", "echo no; exit 3;");
    assert_eq!(env.run(&["join"]).code, 20);
    assert_eq!(env.cpipe(&["log", "join"]).text(), "no\n");
}

#[test]
fn why_names_the_change_where_it_began() {
    let env = TestEnv::commands();
    let first = env.cpipe(&["why", "join"]);
    assert_shown!(env, first);
    env.run(&[]).assert_done();
    let changed = env.cpipe(&["why", "join", "--set", "word=bye"]);
    let text = changed.assert_code(0).text();
    assert!(text.contains("join waits for make"), "{text}");
    assert!(text.contains("would run because of"), "{text}");
    assert!(text.contains("echo bye"), "{text}");
    env.run(&["--set", "word=bye"]).assert_done();
    let after = env.cpipe(&["why", "join", "--set", "word=bye", "--json"]);
    let steps: Vec<serde_json::Value> = after
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(steps[0]["verdict"], "cached");
    assert_eq!(steps[1]["node"], "make");
}

#[test]
fn a_diff_tells_parameters_artifacts_and_metrics() {
    let env = TestEnv::commands();
    env.replace(
        "pipeline.yaml",
        "outputs: [made.txt]",
        "outputs: [made.txt, n.json]",
    );
    env.replace(
        "pipeline.yaml",
        "echo ${word} >> made.txt",
        "echo ${word} >> made.txt; echo '{\\\"n\\\": ${size}}' > n.json",
    );
    env.replace("pipeline.yaml", "word: hello", "word: hello\n  size: 1");
    env.run(&["--name", "base"]).assert_done();
    env.run(&["--set", "size=2"]).assert_done();
    let diff = env.cpipe(&["diff", "base", "latest"]);
    let text = diff.assert_code(0).text();
    assert!(text.contains("2 nodes differ"), "{text}");
    assert!(text.contains("other outputs: n.json"), "{text}");
    assert!(text.contains("n.json.n: 1 → 2"), "{text}");
    assert_eq!(env.cpipe(&["diff"]).text(), text);
    assert!(
        env.cpipe(&["diff", "base", "base"])
            .text()
            .contains("0 nodes differ")
    );
    env.cpipe(&["diff", "bsae"]).assert_code(2);
}

#[test]
fn du_counts_every_blob_once() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    let usage = env.cpipe(&["du", "--json"]);
    let stages: Vec<serde_json::Value> = usage
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(stages[0]["stage"], "join");
    assert_eq!(stages[0]["bytes"], 20);
    assert_eq!(stages[1]["own_bytes"], 10);
    assert!(env.cpipe(&["du"]).text().contains("make"));
}
