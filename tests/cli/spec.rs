//! Mistakes in pipeline.yaml: each is told with its place before anything runs.

use crate::env::{TestEnv, assert_shown};

/// Every command that reads the file says the same, does nothing and ends with 10.
macro_rules! assert_refused {
    ($pipeline:expr) => {{
        let env = TestEnv::of($pipeline);
        let output = env.cpipe(&["run"]);
        output.assert_code(10);
        for command in ["plan", "status", "graph"] {
            let other = env.cpipe(&[command]);
            assert_eq!((other.code, &other.stderr), (10, &output.stderr));
        }
        assert!(env.files("cache").is_empty() && env.files("outputs").is_empty());
        assert_shown!(env, output);
    }};
}

/// A stage `a` over models that only echoes, with something changed.
fn over_models(parameters: &str, more: &str) -> String {
    format!(
        "version: 1
matrix:
  model: [small, large]
stages:
  a:
    over: [model]
    run: {{ command: {{ program: [echo, {parameters}], outputs: [a.txt] }} }}
{more}"
    )
}

#[test]
fn broken_yaml() {
    assert_refused!("version: 1\nstages:\n  a: { run: { command: { program: [echo, x }\n");
}

#[test]
fn not_text() {
    let env = TestEnv::of("");
    env.write("pipeline.yaml", b"version: \xff\xfe 1\n");
    let output = env.cpipe(&["run"]);
    output.assert_code(10);
    assert_shown!(env, output);
}

#[test]
fn no_file() {
    let env = TestEnv::of("");
    env.remove("pipeline.yaml");
    let output = env.cpipe(&["run"]);
    output.assert_code(10);
    assert_shown!(env, output);
}

#[test]
fn unknown_kind() {
    assert_refused!("version: 1\nstages:\n  a:\n    run: { comand: { program: [echo] } }\n");
}

#[test]
fn unknown_key() {
    assert_refused!(
        "version: 1\nstages:\n  a:\n    need: { x: b }\n    run: { chunk: { decode: text, byts: 2048 } }\n"
    );
}

#[test]
fn wrong_type() {
    assert_refused!(
        "version: 1\nstages:\n  a:\n    run: { command: { program: echo, outputs: [3, x] } }\n  b:\n    run: { aggregate: { bootstrap: many } }\n"
    );
}

#[test]
fn unknown_choice() {
    assert_refused!(
        "version: 1\nsources: { s: { path: x } }\nstages:\n  s: { run: { download: { source: s } } }\n  a:\n    needs: { source: s }\n    run: { chunk: { decode: speach } }\n"
    );
}

#[test]
fn refused_value() {
    assert_refused!(
        "version: 1\nstages:\n  a:\n    run: { command: { program: [echo], outputs: [../../x] } }\n"
    );
}

#[test]
fn cycle() {
    let stage = |name: &str, needs: &str| {
        format!(
            "  {name}: {{ needs: {{ x: {needs} }}, run: {{ command: {{ program: [echo], outputs: [o] }} }} }}\n"
        )
    };
    let stages = stage("a", "b") + &stage("b", "c") + &stage("c", "a");
    assert_refused!(&format!("version: 1\nstages:\n{stages}"));
}

#[test]
fn missing_stage() {
    assert_refused!(&over_models(
        "x",
        "    needs: { tokens: tokenise }\n  tokenize:\n    run: { command: { program: [echo], outputs: [o] } }\n"
    ));
}

#[test]
fn missing_output() {
    assert_refused!(&over_models(
        "x",
        "  b:\n    needs: { a: 'a:b.txt' }\n    run: { command: { program: [echo], outputs: [o] } }\n"
    ));
}

#[test]
fn axis_not_in_over() {
    assert_refused!(&over_models(
        "x",
        "  b:\n    run: { command: { program: [echo, '${model}'], outputs: [o] } }\n"
    ));
}

#[test]
fn unknown_variable() {
    assert_refused!(&over_models("'${modle}'", ""));
}

#[test]
fn missing_axis() {
    assert_refused!(&over_models(
        "x",
        "  b:\n    over: [models]\n    run: { command: { program: [echo], outputs: [o] } }\n"
    ));
}

#[test]
fn missing_source() {
    assert_refused!(
        "version: 1\nsources: { tokenizer: { path: x } }\nstages:\n  a:\n    run: { download: { source: tokeniser } }\n"
    );
}

#[test]
fn two_mistakes_are_told_at_once() {
    assert_refused!(
        "version: 1\nnmae: x\nstages:\n  a:\n    run: { comand: { program: [echo] } }\n"
    );
}

#[test]
fn exclude_of_a_missing_value() {
    let axis = "  model: [small, large]\n";
    let exclude = "  exclude: [{ model: smal }]\n";
    assert_refused!(&over_models("x", "").replace(axis, &format!("{axis}{exclude}")));
}

#[test]
fn selector_of_a_missing_value() {
    let env = TestEnv::of(&over_models("x", ""));
    for selector in ["a[model=smal]", "a[mdoel=small]", "a[model"] {
        let output = env.cpipe(&["run", selector]);
        output.assert_code(2);
        let only = env.cpipe(&["run", "--only", selector]);
        assert_eq!(only.stderr, output.stderr);
    }
    assert_shown!(env, env.cpipe(&["run", "a[model=smal]"]));
}

#[test]
fn profile_that_is_not_there() {
    let env = TestEnv::of(&over_models("x", "profiles:\n  nano: {}\n"));
    let output = env.cpipe(&["run", "--profile", "nona"]);
    output.assert_code(10);
    assert_shown!(env, output);
}

#[test]
fn set_of_what_is_not_there() {
    let env = TestEnv::of(&over_models("x", "vars: { chunks: 3 }\n"));
    let output = env.cpipe(&["run", "--set", "chunsk=4"]);
    output.assert_code(10);
    assert_shown!(env, output);
}

#[test]
fn figures_that_are_not_there() {
    assert_refused!(
        "version: 1\nstages:\n  a:\n    run: { plot: { figures: [law, gird] } }\n  b:\n    run: { plot: { size: { width: 180 } } }\n  c:\n    run: { plot: { sizes: { curvs: { width: 85mm } } } }\n"
    );
}
