//! A scalar is the text that was written, and the number that it stands for where one is wanted.

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use serde::Deserialize;

use super::{load_with, loaded, nodes, render};
use crate::spec::tree::{self, Meaning, Value};
use crate::spec::{Options, SpecError, from_text, load, whole_number};
use crate::testing::FakeRegistry;

/// What YAML makes of it: a text, or the text as written with its meaning.
fn read(text: &str) -> (String, Option<Meaning>) {
    let node = tree::parse_value(text).unwrap();
    let written = node.scalar_text().unwrap().to_owned();
    (written, node.meaning())
}

#[test]
fn scalars_are_those_of_yaml_1_2() {
    for (written, text) in [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("'1'", "1"),
        ("\"true\"", "true"),
        ("1e", "1e"),
        ("12:30:45", "12:30:45"),
        ("2026-11-28", "2026-11-28"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("''", ""),
        ("!!str 3.10", "3.10"),
    ] {
        assert_eq!(read(written), (text.to_owned(), None), "{written}");
    }
    let meaning = |text: &str| {
        let (written, meaning) = read(text);
        assert_eq!(written, text);
        meaning.unwrap()
    };
    assert_eq!(meaning("true"), Meaning::Bool(true));
    assert_eq!(meaning("True"), Meaning::Bool(true));
    for null in ["~", "null", "Null", "NULL", ""] {
        assert_eq!(meaning(null), Meaning::Null);
    }
    for (text, double) in [
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0", 0.0),
    ] {
        let Meaning::Number(number) = meaning(text) else {
            panic!("{text} is a number");
        };
        assert_eq!(number.double, double);
    }
}

/// Scalars that a reader without care respells.
const SPELLINGS: &[&str] = &[
    "3.10",
    "007",
    "00001",
    "1_000",
    "1e3",
    "1E3",
    "0x1F",
    "0o17",
    "0b11",
    "+5",
    ".5",
    "1.",
    "1e400",
    "-1e400",
    "1e-400",
    "123456789012345678901234567890",
    "18446744073709551615",
    "-0",
    "-0.0",
    "true",
    "True",
    "FALSE",
    "yes",
    "no",
    "on",
    "null",
    "Null",
    "~",
    ".inf",
    "-.INF",
    ".nan",
    "2026-11-28",
    "12:30",
    "1.0.0",
    "0.1e-0",
    "+.5E+01",
    "1__0",
    "0x",
    "09",
    "1e",
];

/// A stage whose parameter has `${v}` in a text, over the axis v.
fn over(value: &str) -> String {
    format!(
        "version: 1\nmatrix: {{ v: [{value}] }}\nstages:\n  \
         a: {{ over: [v], run: {{ make: {{ text: '<${{v}}>' }} }}, export: 'x/${{v}}' }}\n"
    )
}

/// Label, text and folder of the only node.
fn seen(text: &str, options: &Options) -> (String, String, Option<String>) {
    let pipeline =
        load_with(text, options).unwrap_or_else(|errors| panic!("{}", render(text, &errors)));
    let node = pipeline.graph.dag.node_weights().next().unwrap();
    let params = node.work.params();
    let shown = params["text"].as_str().unwrap().to_owned();
    (node.label().to_owned(), shown, node.export.clone())
}

fn as_written(value: &str) -> (String, String, Option<String>) {
    (
        format!("a[v={value}]"),
        format!("<{value}>"),
        Some(format!("x/{value}")),
    )
}

/// The value in the file, in a block, behind an alias, by --set, in a profile, and in files.
fn check_everywhere(value: &str) {
    let expected = as_written(value);
    let plain = Options::default();
    assert_eq!(seen(&over(value), &plain), expected);
    let block = over(value).replace(
        &format!("{{ v: [{value}] }}"),
        &format!("\n  v:\n  - {value}  # x\n"),
    );
    assert_eq!(seen(&block, &plain), expected);
    let alias = over(value).replace(&format!("[{value}]"), "[*x]");
    let alias = alias.replacen("matrix", &format!("vars: {{ w: &x {value} }}\nmatrix"), 1);
    assert_eq!(seen(&alias, &plain), expected);
    let set = Options {
        sets: vec![("matrix.v".to_owned(), format!("[{value}]"))],
        ..Options::default()
    };
    assert_eq!(seen(&over("other"), &set), expected);
    let profile = over("other") + &format!("profiles: {{ p: {{ matrix: {{ v: [{value}] }} }} }}\n");
    let chosen = Options {
        profile: Some("p".to_owned()),
        ..Options::default()
    };
    assert_eq!(seen(&profile, &chosen), expected);
    let waits =
        over("other").replace("[other]", "{ output: 'b:out.txt' }") + "  b: { run: { make: } }\n";
    for text in [
        format!("{value}\n"),
        format!("[{value}]"),
        format!("- {value}\n"),
    ] {
        let written = Options {
            written: BTreeMap::from([("v".to_owned(), text)]),
            ..Options::default()
        };
        assert_eq!(seen(&waits, &written), expected);
    }
}

#[test]
fn values_keep_their_spelling_wherever_they_come_from() {
    for value in SPELLINGS {
        check_everywhere(value);
    }
}

#[test]
fn variables_keep_their_spelling_too() {
    let text = "version: 1\nvars: { n: 3.10 }\nstages:\n  \
                a: { run: { make: { text: '<${n}>' } }, export: '${n}' }\n  \
                b: { run: { make: { text: '${n}' } } }\n  c: { run: { make: { text: 1_0 } }, export: 008 }\n";
    let pipeline = loaded(text);
    let last = pipeline.graph.dag.node_weights().last().unwrap();
    assert_eq!(last.export.as_deref(), Some("008"));
    let shown = nodes(&pipeline);
    assert_eq!(shown, ["a \"<3.10>\"0", "b \"3.10\"0", "c \"1_0\"0"]);
    let set = |value: &str| {
        let options = Options {
            sets: vec![("n".to_owned(), value.to_owned())],
            ..Options::default()
        };
        seen(text, &options).1
    };
    // Alone, `${n}` is what the variable is, and nothing is no text.
    for value in SPELLINGS
        .iter()
        .filter(|v| !["~", "null", "Null"].contains(v))
    {
        assert_eq!(set(value), format!("<{value}>"));
    }
    let parameter = Options {
        sets: vec![("stages.b.run.make.text".to_owned(), "1e3".to_owned())],
        ..Options::default()
    };
    assert_eq!(
        nodes(&load_with(text, &parameter).ok().unwrap())[1],
        "b \"1e3\"0"
    );
}

#[test]
fn values_of_a_file_are_numbers_where_numbers_are_wanted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("steps.txt"), "1_000\n1e4 \n'5'\n").unwrap();
    let text = "version: 1\nmatrix: { v: { file: steps.txt } }\nstages:\n  \
                a: { over: [v], run: { make: { count: '${v}' } } }\n";
    let read = |text: &str| {
        let errors = |errors: Vec<SpecError>| render(text, &errors);
        load(
            dir.path(),
            text,
            &Options::default(),
            &FakeRegistry::default(),
        )
        .map_err(errors)
    };
    let wrong = read(text).err().unwrap();
    assert!(wrong.contains("found the text `'5'`"), "{wrong}");
    std::fs::write(dir.path().join("steps.txt"), "1_000\n1e4 \n").unwrap();
    let found = nodes(&read(text).unwrap());
    assert_eq!(found, ["a[v=1_000] \"\"1000", "a[v=1e4] \"\"10000"]);
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Typed {
    small: u8,
    signed: i64,
    long: u64,
    double: f64,
    text: String,
    maybe: Option<f64>,
    flag: bool,
}

#[test]
fn a_number_is_what_it_says_where_a_number_is_wanted() {
    let read = |text: &str| from_text::<Typed>(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    for text in [
        "12", "012", "1_2", "1.2e1", "12.", "0xC", "0o14", "0b1100", "+12",
    ] {
        let typed = read(&format!(
            "{{ small: {text}, signed: {text}, long: {text}, double: {text}, maybe: {text}, text: {text} }}"
        ));
        let expected = Typed {
            small: 12,
            signed: 12,
            long: 12,
            double: 12.0,
            maybe: Some(12.0),
            text: text.to_owned(),
            flag: false,
        };
        assert_eq!(typed, expected);
    }
    assert_eq!(read("long: 18446744073709551615").long, u64::MAX);
    assert_eq!(read("signed: -9223372036854775808").signed, i64::MIN);
    assert_eq!(read("double: 0.1").double, 0.1);
    assert_eq!(read("double: 1e23").double, 1e23);
    assert_eq!(
        read("double: 18446744073709551616").double,
        18_446_744_073_709_551_616.0
    );
    assert_eq!(read("{ text: True, flag: True }").text, "True");
}

#[test]
fn a_number_that_cannot_be_held_is_refused_where_it_stands() {
    let mut all = String::new();
    for text in [
        "long: 18446744073709551616",
        "long: 123456789012345678901234567890",
        "long: 123456789012345678901234567890123456789012345678901234567890",
        "signed: -9223372036854775809",
        "small: 256",
        "small: 1e400",
        "small: 1.5",
        "long: '12'",
        "double: 1e400",
        "double: 1e-400",
        "double: 9007199254740993",
        "double: .inf",
        "maybe: .nan",
        "text: ~",
        "flag: yes",
        "flag: 1",
    ] {
        let error = from_text::<Typed>(text).expect_err(text);
        all += &render(text, &[error]);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn values_of_an_axis_are_compared_as_they_are_written() {
    let errors = |matrix: &str| {
        let text = format!(
            "version: 1\nmatrix: {{ {matrix} }}\nstages: {{ s: {{ run: {{ make: {{}} }} }} }}\n"
        );
        let loaded = load_with(&text, &Options::default());
        loaded.err().map(|errors| render(&text, &errors))
    };
    let mut all = String::new();
    for matrix in [
        "v: [1.0, '1.0']",
        "v: [1_000, 1e3, 1_000]",
        "v: [1000], exclude: [{ v: 1e3 }]",
        "v: ['a\tb', \"c\\nd\"]",
    ] {
        let _ = write!(all, "== {matrix}\n{}", errors(matrix).unwrap());
    }
    insta::assert_snapshot!(all);
    for matrix in [
        "v: [3.1, 3.10, 3.100]",
        "v: [1000, 1_000, 1e3, 01000]",
        "v: [true, True, null, ~]",
        "v: [1000], include: [{ v: 1e3 }]",
        "a: [x, y], v: [1e3, 1e3], zip: [[a, v]]",
    ] {
        assert_eq!(errors(matrix), None, "{matrix}");
    }
}

#[test]
fn selectors_compare_texts() {
    let text = over("1_000");
    let graph = loaded(&text).graph;
    let pick = |selector: &str| graph.select(&[selector.to_owned()]);
    assert_eq!(pick("a[v=1_000]").unwrap().len(), 1);
    let wrong = pick("a[v=1000]").unwrap_err();
    assert!(wrong.contains("did you mean `1_000`?"), "{wrong}");
}

/// Texts that YAML may read as numbers, and texts that it does not.
fn any_scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+]?[0-9]{1,40}",
        "[-+]?[0-9]{0,4}\\.[0-9]{0,4}([eE][-+]?[0-9]{1,3})?",
        "[-+]?[0-9]{1,3}(_[0-9]{1,3}){0,3}",
        "[-+]?0[xXoObB][0-9a-fA-F_]{0,20}",
        "[-+]?[0-9]{1,3}[eE][-+]?[0-9]{1,3}",
        "[-+]?\\.(inf|Inf|INF|nan|NaN)",
        "(true|True|TRUE|false|yes|no|on|off|null|Null|~|y|n)",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "[0-9.eExX_+~-]{1,8}",
        "[a-z0-9._]{1,10}",
    ]
}

/// Whether YAML reads it as a scalar of one word: not `-`, `---` or `.`-less markers.
fn is_scalar(text: &str) -> bool {
    tree::parse_value(text).is_ok_and(|node| match &node.value {
        Value::Plain(_) | Value::Text(_) => !text.is_empty(),
        _ => false,
    }) && !["---", "..."].contains(&text)
        && text != "-"
        && text != "?"
        && !["..", "."].contains(&text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_scalar_in_a_text_is_what_was_written(value in any_scalar().prop_filter("a scalar", |v| is_scalar(v))) {
        check_everywhere(&value);
    }

    #[test]
    fn one_rule_says_which_whole_number_it_is(value in any_scalar().prop_filter("a scalar", |v| is_scalar(v))) {
        let node = tree::parse_value(&value).unwrap();
        if let Some(number) = node.number() {
            prop_assert_eq!(number.whole, whole_number(&value), "{}", value);
            if let (Some(whole), true) = (number.whole, number.is_held(&value)) {
                prop_assert_eq!(whole as f64, number.double);
            }
        } else {
            prop_assert_eq!(whole_number(&value), None, "{}", value);
        }
    }
}
