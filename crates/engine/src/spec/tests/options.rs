//! Profiles and `--set`.

use super::{load_with, nodes, render};
use crate::spec::Options;

const TEXT: &str = "
version: 1
default_profile: nano
vars: { count: 1, text: a }
matrix: { m: [x, y] }
sources: { data: { path: big } }
stages:
  a: { over: [m], run: { make: { count: '${count}', text: '${text}' } } }
  b: { run: { make: } }
  r: { run: { read: { source: data } } }
profiles:
  nano: { vars: { count: 2 }, sources: { data: { path: small } } }
  big: { matrix: { m: [z] } }
";

fn with(profile: Option<&str>, sets: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let options = Options {
        profile: profile.map(str::to_owned),
        sets: sets.iter().map(own).collect(),
        ..Options::default()
    };
    let pipeline = load_with(TEXT, &options).map_err(|errors| render(TEXT, &errors))?;
    let mut lines = nodes(&pipeline);
    lines.truncate(lines.len() - 1);
    let path = pipeline.sources["data"].path().unwrap().display();
    lines.push(format!(
        "{:?} {} {path}",
        pipeline.profile, pipeline.default_profile
    ));
    Ok(lines)
}

#[test]
fn a_profile_changes_what_it_names() {
    let nano = ["a[m=x] \"a\"2", "a[m=y] \"a\"2", "b \"\"0"];
    let default = with(None, &[]).unwrap();
    assert_eq!(default[..3], nano);
    assert_eq!(default[3], "Some(\"nano\") true /study/small");
    let big = with(Some("big"), &[]).unwrap();
    let expected = ["a[m=z] \"a\"1", "b \"\"0", "Some(\"big\") false /study/big"];
    assert_eq!(big, expected);
    let wrong = with(Some("nan"), &[]).unwrap_err();
    assert!(wrong.contains("- there is no profile `nan`"), "{wrong}");
    assert!(wrong.contains("did you mean `nano`?"), "{wrong}");
    assert_eq!(
        wrong.matches("- ").count(),
        1,
        "nothing follows from it: {wrong}"
    );
}

#[test]
fn a_profile_replaces_takes_out_and_adds_stages() {
    let text = "
version: 1
stages:
  a: { run: { make: { text: a } } }
  b: { needs: { input: a }, run: { copy: { count: 1 } } }
  c: { needs: { input: b }, run: { copy: } }
profiles:
  short: { stages: { a: null, b: { run: { make: { count: '${n}' } } }, d: { run: { make: } } }, vars: { n: 2 } }
";
    let lines = |profile: Option<&str>| {
        let options = Options {
            profile: profile.map(str::to_owned),
            sets: vec![("stages.c.run.copy.text".to_owned(), "set".to_owned())],
            ..Options::default()
        };
        nodes(
            &load_with(text, &options).unwrap_or_else(|errors| panic!("{}", render(text, &errors))),
        )
    };
    assert_eq!(lines(None), ["a \"a\"0", "b \"\"1", "c \"set\"0"]);
    assert_eq!(lines(Some("short")), ["b \"\"2", "c \"set\"0", "d \"\"0"]);
}

#[test]
fn set_wins_over_the_profile() {
    let set = with(
        None,
        &[("count", "7"), ("matrix.m", "[q]"), ("text", "\"1\"")],
    )
    .unwrap();
    assert_eq!(set[0], "a[m=q] \"1\"7");
}

#[test]
fn set_reaches_a_parameter_left_to_its_default() {
    let set = with(None, &[("stages.b.run.make.count", "9")]).unwrap();
    assert_eq!(set[2], "b \"\"9");
    let wrong = with(None, &[("stages.b.run.make.cuont", "9")]).unwrap_err();
    assert!(wrong.contains("unknown key `cuont`"), "{wrong}");
}

#[test]
fn set_of_what_is_not_there_names_the_nearest() {
    let sets = [
        ("cuont", "1"),
        ("matrix.n", "[1]"),
        ("stages.a.runn.make.count", "1"),
        ("profiles.nano.vars", "{}"),
        ("count", ""),
        ("text", "[1"),
    ];
    insta::assert_snapshot!(with(None, &sets).unwrap_err());
}

#[test]
fn set_refuses_what_yaml_would_pass_over_in_silence() {
    for text in [
        "#x",
        "---",
        "...",
        "1 # 2",
        "'a' # b",
        "[1, 2] # x",
        "a\n# b",
        "&x",
        "--- # x",
    ] {
        let wrong = with(None, &[("text", text)]).unwrap_err();
        assert!(wrong.contains("- --set text: "), "{text}: {wrong}");
        assert!(
            wrong.contains("quote a text: `--set 'text=\"…\"'`"),
            "{text}: {wrong}"
        );
    }
    for (text, value) in [
        ("\"#x\"", "#x"),
        ("'1 # 2'", "1 # 2"),
        ("a#b", "a#b"),
        ("don't", "don't"),
        ("\"---\"", "---"),
    ] {
        let set = with(None, &[("text", text)]).unwrap();
        assert_eq!(set[0], format!("a[m=x] {value:?}2"));
    }
}
