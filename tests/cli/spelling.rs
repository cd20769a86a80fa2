//! What is written in pipeline.yaml is what labels, paths, programs and events say.

use std::fmt::Write;

use crate::env::TestEnv;

/// Scalars that YAML reads as something else than a text, and two that it does not.
const VALUES: [&str; 18] = [
    "3.10",
    "007",
    "1_000",
    "1e3",
    "0x1F",
    "0o17",
    "+5",
    ".5",
    "1.",
    "1e400",
    "123456789012345678901234567890",
    "true",
    "null",
    "~",
    ".inf",
    "-0",
    "2026-11-28",
    "yes",
];

/// A program that writes the value of the axis `v`, with this in the section `matrix`.
fn pipeline(matrix: &str) -> String {
    format!(
        "version: 1\nvars: {{ x: other }}\nmatrix: {{ v: {matrix} }}\nstages:\n  \
         a: {{ over: [v], run: {{ command: {{ program: [sh, -c, \"printf %s '${{v}} ${{x}}' > o\"], outputs: [o] }} }}, export: 'e/${{v}}' }}\n"
    )
}

/// Every value is there under its own name.
fn assert_spelled(env: &TestEnv, args: &[&str]) {
    let run = env.run(args);
    let mut names: Vec<String> = VALUES.iter().map(|v| format!("a[v={v}]")).collect();
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    run.assert_executed(&names);
    for value in VALUES {
        let written = env.read(&format!("outputs/e/{value}/o"));
        assert_eq!(written, format!("{value} other"));
        let selected = env.cpipe(&[&["cat", &format!("a[v={value}]:o")], args].concat());
        assert_eq!(selected.assert_code(0).text(), written);
    }
}

#[test]
fn in_the_file() {
    assert_spelled(
        &TestEnv::of(&pipeline(&format!("[{}]", VALUES.join(", ")))),
        &[],
    );
}

#[test]
fn in_a_block_with_comments() {
    let list = VALUES.iter().fold(String::new(), |mut text, value| {
        let _ = write!(text, "\n    - {value}   # as it is");
        text
    });
    let text = pipeline("LIST").replace("{ v: LIST }", &format!("\n  v:{list}"));
    assert_spelled(&TestEnv::of(&text), &[]);
}

#[test]
fn on_the_command_line() {
    let set = format!("matrix.v=[{}]", VALUES.join(", "));
    assert_spelled(&TestEnv::of(&pipeline("[w]")), &["--set", &set]);
}

#[test]
fn in_a_profile() {
    let profile = format!(
        "default_profile: p\nprofiles: {{ p: {{ matrix: {{ v: [{}] }} }} }}\n",
        VALUES.join(", ")
    );
    assert_spelled(&TestEnv::of(&(pipeline("[w]") + &profile)), &[]);
}

#[test]
fn in_a_file_of_values() {
    for text in [VALUES.join("\n"), format!("[{}]", VALUES.join(", "))] {
        let env = TestEnv::of(&pipeline("{ file: values }"));
        env.write("values", text);
        assert_spelled(&env, &[]);
    }
}

#[test]
fn in_a_file_that_a_stage_writes() {
    let text = pipeline("{ output: 'list:values' }")
        + "  list: { run: { command: { program: [cp, list, values], files: [list], outputs: [values] } } }\n";
    let env = TestEnv::of(&text);
    env.write("list", VALUES.join("\n") + "\n");
    env.run(&["list"]).assert_executed(&["list"]);
    assert_spelled(&env, &[]);
}

#[test]
fn a_variable_on_the_command_line() {
    for value in VALUES {
        let env = TestEnv::of(&pipeline("[w]"));
        env.run(&["--set", &format!("x={value}")])
            .assert_executed(&["a[v=w]"]);
        assert_eq!(env.read("outputs/e/w/o"), format!("w {value}"));
    }
}

#[test]
fn a_program_takes_a_number_as_it_is_written() {
    let env = TestEnv::of(
        "version: 1\nvars: { n: 0.10 }\nstages: { a: { run: { command: { program: [sh, -c, 'echo $0 $1 $V > o', 1_0, '${n}'], set: { V: 007 }, outputs: [o] } }, export: 2026 } }\n",
    );
    env.run(&[]).assert_executed(&["a"]);
    assert_eq!(env.read("outputs/2026/o"), "1_0 0.10 007\n");
}

#[test]
fn a_number_that_cannot_be_held_is_refused_with_its_place() {
    let env = TestEnv::of(
        "version: 1\nvars: { n: 123456789012345678901234567890 }\nstages: { a: { retries: 2, run: { aggregate: { bootstrap: '${n}' } } } }\n",
    );
    let output = env.cpipe(&["plan"]);
    output.assert_code(10);
    for said in [
        "found the integer 123456789012345678901234567890, which cannot be held exactly",
        "pipeline.yaml:3:",
        "put it in quotes if it is a text",
    ] {
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
}

#[test]
fn two_spellings_of_one_number_are_two_cells() {
    let env = TestEnv::of(&pipeline("[3.1, 3.10, 1000, 1_000]"));
    let nodes = ["a[v=1000]", "a[v=1_000]", "a[v=3.10]", "a[v=3.1]"];
    let run = env.run(&[]);
    run.assert_done();
    assert!(
        nodes
            .iter()
            .all(|node| run.executed.contains(&(*node).to_owned()))
    );
    env.run(&["--force", "a[v=3.1]", "a[v=3.1]"])
        .assert_executed(&["a[v=3.1]"]);
}
