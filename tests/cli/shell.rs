//! What a newcomer and a shell ask for: init, completions, the man page, examples in the help.

use crate::env::{TestEnv, repository};

#[test]
fn init_writes_an_example_that_runs() {
    let env = TestEnv::of("");
    env.remove("pipeline.yaml");
    env.cpipe(&["init"]).assert_code(0);
    assert_eq!(env.run(&[]).assert_done().executed.len(), 7);
    assert!(env.path("outputs/total.txt").exists());
    env.run(&["--set", "letters=aeiou"]).assert_done();
    let again = env.cpipe(&["init"]);
    assert!(again.assert_code(2).stderr.contains("is there already"));
}

#[test]
fn completions_and_the_man_page_know_every_command() {
    let env = TestEnv::of("");
    let help = env.cpipe(&["--help"]);
    let commands = help.text().split("Commands:\n").nth(1).unwrap();
    let commands = commands.split("\n\n").next().unwrap().lines();
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(names.len() > 15);
    let man = env.cpipe(&["man"]);
    for shell in ["bash", "zsh", "fish"] {
        let script = env.cpipe(&["completions", shell]);
        for name in &names {
            assert!(
                script.assert_code(0).text().contains(name),
                "{shell}: {name}"
            );
        }
    }
    for name in names.iter().filter(|name| **name != "help") {
        assert!(
            man.assert_code(0)
                .text()
                .contains(&format!("cpipe\\-{name}")),
            "{name}"
        );
        let help = env.cpipe(&[name, "--help"]);
        assert!(help.text().contains("Example"), "{name} has no example");
    }
}

#[test]
fn the_schema_is_the_one_that_is_committed() {
    let env = TestEnv::of("");
    let schema = env.cpipe(&["schema"]);
    let committed = std::fs::read_to_string(repository().join("pipeline.schema.json")).unwrap();
    // `cpipe schema > pipeline.schema.json` after a change of parameters.
    assert!(
        schema.assert_code(0).text() == committed,
        "pipeline.schema.json is out of date"
    );
}
