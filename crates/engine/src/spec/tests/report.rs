//! What the page about a run is asked to say.

use super::{load_plain, load_with, loaded, render};
use crate::spec::{Options, ReportSpec};

const STAGES: &str = "stages:\n  a: { run: { make: {} }, export: figures }\n";

fn with(report: &str) -> String {
    format!("version: 1\nname: study\nvars: {{ n: 3 }}\n{STAGES}{report}\n")
}

fn refused(report: &str) -> String {
    let text = with(report);
    let errors = load_plain(&text).err().expect("it is refused");
    render(&text, &errors)
}

#[test]
fn there_is_one_only_where_it_is_asked_for() {
    assert_eq!(loaded(&with("")).report, None);
    for empty in ["report:", "report: {}"] {
        let pipeline = loaded(&with(empty));
        assert_eq!(pipeline.report, Some(ReportSpec::default()));
        assert_eq!(pipeline.name.as_deref(), Some("study"));
    }
}

#[test]
fn variables_are_put_in_and_figures_keep_their_order() {
    let report = "report: { title: 'T ${n}', text: '$${n} is ${n}', figures: [figures/out.txt] }";
    let report = loaded(&with(report)).report.unwrap();
    assert_eq!(report.title.as_deref(), Some("T 3"));
    assert_eq!(report.text.as_deref(), Some("${n} is 3"));
    assert_eq!(report.figures, Some(vec!["figures/out.txt".to_owned()]));
    assert_eq!(report.tables, None);
}

#[test]
fn a_profile_replaces_parts_of_it() {
    let text =
        with("report: { title: one, text: two }\nprofiles: { p: { report: { text: three } } }");
    let options = Options {
        profile: Some("p".to_owned()),
        ..Options::default()
    };
    let report = load_with(&text, &options).ok().unwrap().report.unwrap();
    assert_eq!(report.title.as_deref(), Some("one"));
    assert_eq!(report.text.as_deref(), Some("three"));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (report, expected) in [
        (
            "report: page",
            "expected a mapping under `report`, found the text `page`",
        ),
        ("report: { titel: x }", "help: did you mean `title`?"),
        ("report: { title: [x] }", "expected a text, found a list"),
        (
            "report: { text: '${m}' }",
            "there is no variable or axis `m` here",
        ),
        (
            "report: { text: { file: no.md } }",
            "cannot read the report's text from /study/no.md",
        ),
        (
            "report: { text: { fiel: x } }",
            "write the text itself, or `{ file: PATH }`",
        ),
        (
            "report: { tables: out.txt }",
            "expected a list of exported files",
        ),
        (
            "report: { figures: [figures/otu.txt] }",
            "help: did you mean `figures/out.txt`?",
        ),
    ] {
        let told = refused(report);
        assert!(told.contains(expected), "{report}: {told}");
    }
}
