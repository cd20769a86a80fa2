//! `cpipe cat`.

use serde_json::Value;

use crate::env::{TestEnv, assert_shown};

const SCORES: &str = "score[model=nano-25k,step=64,modality=text]:scores.parquet";

#[test]
fn an_artifact_comes_as_it_is() {
    let env = TestEnv::warm_study();
    let output = env.cpipe(&["cat", "fit:fits.json"]);
    output.assert_code(0);
    assert_eq!(output.text(), env.read("outputs/fits.json"));
    let svg = env.cpipe(&["cat", "plot:law.svg"]).stdout;
    assert_eq!(svg, env.files("outputs")["figures/law.svg"]);
}

#[test]
fn a_table_comes_in_the_format_asked_for() {
    let env = TestEnv::warm_study();
    let cat = |artifact: &str, format| env.cpipe(&["cat", artifact, "--format", format]);
    let csv = cat("aggregate:cells.parquet", "csv");
    assert_eq!(csv.text().lines().count(), 1 + 54);
    assert!(csv.text().starts_with("model,"));

    let json: Value = serde_json::from_slice(&cat(SCORES, "json").stdout).unwrap();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.len(), 4, "2 chunks under 2 protocols");
    assert!(rows.iter().all(|row| row["bits"].as_f64().unwrap() > 0.0));

    let parquet = cat(SCORES, "parquet").stdout;
    assert_eq!(&parquet[..4], b"PAR1");
    assert_eq!(parquet, env.cpipe(&["cat", SCORES]).stdout);
}

#[test]
fn a_file_of_a_folder_is_named_behind_it() {
    let env = TestEnv::warm_study();
    let output = env.cpipe(&["cat", "corpus[modality=text]:files/kjv-1-ruth.txt"]);
    assert_eq!(
        output.text(),
        env.read("assets/nano/eval/text/kjv-1-ruth.txt")
    );
}

#[test]
fn wrong_names_are_answered_with_the_right_ones() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    let mut all = String::new();
    for artifact in ["join:jointed.txt", "jion:joined.txt", "join"] {
        let output = env.cpipe(&["cat", artifact]);
        output.assert_code(2);
        assert!(output.stdout.is_empty());
        all += &output.stderr;
    }
    insta::assert_snapshot!(all);
}

#[test]
fn several_nodes_are_refused() {
    let env = TestEnv::study();
    let output = env.cpipe(&["cat", "score[model=nano-25k]:scores.parquet"]);
    output.assert_code(2);
    assert_shown!(env, output);
}

#[test]
fn what_is_not_made_yet_says_what_makes_it() {
    let env = TestEnv::commands();
    let output = env.cpipe(&["cat", "join:joined.txt"]);
    output.assert_code(2);
    assert_shown!(env, output);
}

#[test]
fn text_is_no_table() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    let output = env.cpipe(&["cat", "join:joined.txt", "--format", "csv"]);
    output.assert_code(2);
    assert_shown!(env, output);
}
