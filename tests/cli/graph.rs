//! `cpipe graph`.

use crate::env::{TestEnv, assert_shown};

#[test]
fn text() {
    let env = TestEnv::study();
    assert_shown!(env, env.cpipe(&["graph"]));
}

#[test]
fn dot() {
    let env = TestEnv::study();
    assert_shown!(env, env.cpipe(&["graph", "--format", "dot"]));
}

#[test]
fn mermaid() {
    let env = TestEnv::commands();
    assert_shown!(env, env.cpipe(&["graph", "--format", "mermaid"]));
}

#[test]
fn every_node() {
    let env = TestEnv::study();
    let output = env.cpipe(&["graph", "--nodes"]);
    assert_eq!(output.text().lines().count(), 53);
    let cell = "score[model=nano-25k,step=64,modality=text] ← weights[model=nano-25k,step=64], tokenize[modality=text]\n";
    assert!(output.text().contains(cell), "{}", output.text());
}
