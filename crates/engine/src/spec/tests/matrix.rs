//! How axes combine: crossed, zipped, excluded, included, read from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{load_plain, load_with, loaded, nodes, render};
use crate::spec::{Options, load};
use crate::testing::FakeRegistry;

/// Labels of a pipeline with this matrix and stages `a` over two axes and `b` over one.
fn labels(matrix: &str) -> Vec<String> {
    let text = format!(
        "version: 1\nmatrix: {{ {matrix} }}\nstages:\n  a: {{ over: [model, step], run: {{ make: {{}} }} }}\n  \
         b: {{ over: [model], needs: {{ inputs: a }}, run: {{ join: {{}} }} }}\n"
    );
    let lines = nodes(&loaded(&text)).into_iter();
    lines
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn zipped_axes_advance_together() {
    let found = labels("model: [s, l, l], step: [1, 2, 3], zip: [[step, model]]");
    let expected = [
        "a[model=s,step=1]",
        "a[model=l,step=2]",
        "a[model=l,step=3]",
    ];
    assert_eq!(found[..3], expected);
    assert_eq!(found[3..], ["b[model=s]", "b[model=l]"]);
}

#[test]
fn what_is_excluded_is_left_out_where_all_its_axes_are() {
    let found = labels("model: [s, l], step: [1, 2], exclude: [{ model: l, step: [2, 1] }]");
    let expected = [
        "a[model=s,step=1]",
        "a[model=s,step=2]",
        "b[model=s]",
        "b[model=l]",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_included_is_crossed_with_the_axes_that_it_does_not_name() {
    let found = labels("model: [s], step: [1, 2], include: [{ model: xl }, { model: l, step: 9 }]");
    let expected = [
        "a[model=s,step=1]",
        "a[model=s,step=2]",
        "a[model=xl,step=1]",
        "a[model=xl,step=2]",
        "a[model=l,step=9]",
        "b[model=s]",
        "b[model=xl]",
        "b[model=l]",
    ];
    assert_eq!(found, expected);
}

#[test]
fn values_come_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("models.txt"), "# sizes\ns\n\nl\n").unwrap();
    std::fs::write(dir.path().join("steps.json"), "[1, 2]").unwrap();
    let text = "version: 1\nmatrix: { model: { file: models.txt }, step: { file: steps.json } }\n\
                stages: { a: { over: [model, step], run: { make: { count: '${step}' } } } }\n";
    let read = |text: &str| {
        load(
            dir.path(),
            text,
            &Options::default(),
            &FakeRegistry::default(),
        )
    };
    let found = nodes(&read(text).unwrap_or_else(|e| panic!("{e:?}")));
    assert_eq!(found[3], "a[model=l,step=2] \"\"2");
    let Err(errors) = read(&text.replace("steps.json", "stps.json")) else {
        panic!("the file is not there");
    };
    assert!(
        errors[0]
            .message
            .contains("cannot read the values of axis `step`")
    );
}

#[test]
fn a_byte_order_mark_belongs_to_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let text = "version: 1\nmatrix: { step: { file: steps } }\n\
                stages: { a: { over: [step], run: { make: { count: '${step}' } } } }\n";
    for values in ["1\r\n2\r\n", "# steps\n1\n2\n", "[1, 2]", "- 1\n- 2\n"] {
        std::fs::write(dir.path().join("steps"), format!("\u{feff}{values}")).unwrap();
        let options = Options::default();
        let found = load(dir.path(), text, &options, &FakeRegistry::default());
        let found = nodes(&found.unwrap_or_else(|e| panic!("{e:?}")));
        assert_eq!(found, ["a[step=1] \"\"1", "a[step=2] \"\"2"], "{values}");
    }
}

#[test]
fn values_that_a_stage_writes_are_waited_for() {
    let text = "version: 1\nmatrix: { part: { output: 'split:out.txt' } }\nstages:\n  \
                split: { run: { make: {} } }\n  each: { over: [part], run: { make: {} } }\n  \
                all: { needs: { inputs: each }, run: { join: {} } }\n";
    let before = loaded(text);
    assert_eq!(nodes(&before), ["split \"\"0"]);
    assert_eq!(before.waiting, ["each", "all"]);
    assert_eq!(before.pending[0].stage, "split");
    let options = Options {
        written: BTreeMap::from([("part".to_owned(), "x\ny\n".to_owned())]),
        ..Options::default()
    };
    let after = load_with(text, &options).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(after.graph.dag.node_count(), 4);
    assert!(after.pending.is_empty() && after.waiting.is_empty());
}

#[test]
fn mistakes_are_told_with_their_place() {
    let cases = [
        "zip: [[a, c]]",
        "zip: [[a, b]]",
        "zip: [[a], [a]]",
        "zip: a",
        "exclude: [{ a: 9 }]",
        "exclude: [{ aa: 1 }]",
        "exclude: [1]",
        "include: [{ a: [1] }]",
        "include: [{ z: 1 }]",
        "d: { flie: x }",
        "d: { output: x }",
        "d: { output: 'x:y' }",
    ];
    let mut all = String::new();
    for case in cases {
        let text = format!(
            "version: 1\nmatrix: {{ a: [1, 2], b: [1, 2, 3], {case} }}\nstages: {{ s: {{ run: {{ make: {{}} }} }} }}\n"
        );
        let Err(errors) = load_plain(&text) else {
            panic!("{case}: nothing was said");
        };
        let _ = write!(all, "== {case}\n{}", render(&text, &errors));
    }
    insta::assert_snapshot!(all);
}
