//! What the README and the docs say is what there is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::env::{TestEnv, repository};

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

/// The commands in a text's `sh` blocks.
fn commands(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .flat_map(|rest| rest.split("```").next().unwrap_or("").lines())
        .collect()
}

/// What stands between backticks on the same line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn the_first_command_is_a_run_that_leaves_what_is_promised() {
    let readme = read("README.md");
    let arguments = commands(&readme)[0]
        .strip_prefix("cargo run --release -- ")
        .expect("the first command runs the pipeline");
    let env = TestEnv::study();
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    env.cpipe(&arguments).assert_code(0);
    let promised: BTreeSet<String> = quoted(&readme)
        .filter(|name| name.contains(".{") || name.ends_with(".parquet"))
        .flat_map(expand)
        .collect();
    let found: BTreeSet<String> = env.files("outputs").into_keys().collect();
    assert_eq!(found, promised);
}

/// `a.{b,c}` → `a.b`, `a.c`; more than one pair of braces too.
fn expand(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else {
        return vec![name.to_owned()];
    };
    let (choices, after) = rest.split_once('}').unwrap();
    choices
        .split(',')
        .flat_map(|choice| expand(&format!("{before}{choice}{after}")))
        .collect()
}

#[test]
fn the_test_command_is_what_every_change_must_pass() {
    let readme = read("README.md");
    let command = commands(&readme)[1];
    assert!(command.starts_with("cargo test "), "{command}");
    let checks = read(".ci/run");
    assert!(
        checks
            .lines()
            .any(|line| line.starts_with(&format!("step {command}"))),
        "`{command}` is not in .ci/run"
    );
}

#[test]
fn every_command_of_the_readme_is_there_with_its_options() {
    let env = TestEnv::of("");
    let help = env.cpipe(&["--help"]);
    let readme = read("README.md");
    let table: Vec<&str> = readme
        .lines()
        .filter(|l| l.starts_with("| `cpipe "))
        .collect();
    let mut named = BTreeSet::new();
    for row in table {
        let command = row["| `cpipe ".len()..].split([' ', '`']).next().unwrap();
        let options = env.cpipe(&[command, "--help"]);
        options.assert_code(0);
        let flags = quoted(row).filter_map(|q| q.split_whitespace().next());
        for flag in flags.filter(|q| q.starts_with('-')) {
            assert!(options.text().contains(flag), "{command} has no {flag}");
        }
        named.insert(command.to_owned());
    }
    let commands = help.text().split("Commands:\n").nth(1).unwrap();
    let commands = commands.split("\n\n").next().unwrap().lines();
    let known: BTreeSet<String> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect();
    assert_eq!(named, known);
}

/// The words between backticks in documents.
fn words(documents: &[&str]) -> BTreeSet<String> {
    let texts = documents.iter().map(|name| read(name));
    let part = |c: char| !(c.is_alphanumeric() || c == '_');
    texts
        .flat_map(|text| {
            let words = quoted(&text).flat_map(|quote| quote.split(part));
            words.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The names of keys and of fixed values that a schema knows.
fn names(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(entries) => {
            for (key, value) in entries {
                if key == "properties" {
                    let keys = value.as_object().into_iter().flatten();
                    found.extend(keys.map(|(name, _)| name.clone()));
                }
                if key == "const" {
                    found.extend(value.as_str().map(str::to_owned));
                }
                names(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_pipeline_file_is_in_the_docs() {
    let schema = TestEnv::of("").cpipe(&["schema"]);
    let mut known = BTreeSet::new();
    names(&serde_json::from_slice(&schema.stdout).unwrap(), &mut known);
    let said = words(&["docs/stages.md", "docs/commands.md", "docs/sources.md"]);
    let lacking: Vec<&String> = known.difference(&said).collect();
    assert!(known.len() > 100 && lacking.is_empty(), "{lacking:?}");
}

#[test]
fn the_examples_of_the_stages_are_cut_from_one_that_runs() {
    let whole = read("examples/every-stage/pipeline.yaml");
    let page = read("docs/stages.md");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 12, "{}", blocks.len());
    for block in blocks {
        assert!(whole.contains(block), "{block}");
    }
}

#[test]
fn every_column_of_a_table_is_in_the_docs() {
    let env = TestEnv::every_stage();
    let file = "examples/every-stage/pipeline.yaml";
    env.run(&["--file", file]).assert_done();
    let said = words(&["docs/stages.md"]);
    let written = env.files("examples/every-stage/outputs").into_iter();
    let written = written.filter(|(name, _)| name.contains(".csv"));
    let mut tables: Vec<(String, Vec<u8>)> = written.collect();
    for table in [
        "score[model=nano-25k,step=64,modality=text]:scores.parquet",
        "aggregate:chunks.parquet",
        "fit:draws.parquet",
    ] {
        let shown = env.cpipe(&["cat", "--file", file, table, "--format", "csv"]);
        tables.push((table.to_owned(), shown.stdout));
    }
    assert!(tables.len() > 8, "{}", tables.len());
    for (table, content) in tables {
        let header = String::from_utf8(content).unwrap();
        for column in header.lines().next().unwrap().split(',') {
            // Of an interval the ends are told once, by the first column that has one.
            let of = column.trim_end_matches("_lo").trim_end_matches("_hi");
            let told = said.contains(column) || said.contains(of);
            assert!(told, "{table} has {column}");
        }
    }
}

/// README, CONTRIBUTING and everything below docs/.
fn documents() -> Vec<PathBuf> {
    let mut documents = vec!["README.md".into(), "CONTRIBUTING.md".into()];
    for folder in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let name = PathBuf::from(folder).join(entry.unwrap().file_name());
            if name.extension().is_some_and(|e| e == "md") {
                documents.push(name);
            }
        }
    }
    documents
}

/// What a link can name in a text: its headings, as the web writes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.chars().filter(kept).collect::<String>())
        .map(|heading| heading.replace(' ', "-"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let document = repository().join(document);
        let text = std::fs::read_to_string(&document).unwrap();
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|t| !t.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => document.clone(),
                file => document.with_file_name(file),
            };
            assert!(path.exists(), "{} links to {target}", document.display());
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&path).unwrap());
                assert!(
                    there.contains(anchor),
                    "{}: no {target}",
                    document.display()
                );
            }
        }
    }
}

#[test]
fn files_that_the_documents_name_are_there() {
    let roots = ["crates/", "src/", "tests/", "docs/", "assets/", ".ci/"];
    for document in documents() {
        let text = std::fs::read_to_string(repository().join(&document)).unwrap();
        let paths = quoted(&text).filter(|q| roots.iter().any(|r| q.starts_with(r)));
        for path in paths.filter(|p| !p.contains(['{', '*', ' ', 'N'])) {
            let there = repository().join(path).exists();
            assert!(there, "{} names {path}", document.display());
        }
    }
}
