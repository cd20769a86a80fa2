//! `outputs/`: copies that a person may edit without harm.

use crate::env::TestEnv;

/// The files of outputs/ whose name says that they were set aside.
fn set_aside(env: &TestEnv) -> Vec<String> {
    let files = env.files("outputs").into_iter();
    files
        .filter(|(name, _)| name.contains(".edited-"))
        .map(|(_, content)| String::from_utf8(content).unwrap())
        .collect()
}

#[test]
fn an_edited_output_is_set_aside_and_made_again() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    env.write("outputs/joined.txt", "mine\n");
    let run = env.run(&[]);
    run.assert_executed(&[]);
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
    assert_eq!(set_aside(&env), ["mine\n"]);
    assert_eq!(run.warnings.len(), 1);
    assert!(
        run.warnings[0].contains("an edited output was kept as"),
        "{run:?}"
    );
}

#[test]
fn no_edit_is_ever_overwritten_by_a_later_one() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    for edit in ["first\n", "second\n", "third\n"] {
        env.write("outputs/joined.txt", edit);
        env.run(&[]).assert_executed(&[]);
    }
    let mut kept = set_aside(&env);
    kept.sort();
    assert_eq!(kept, ["first\n", "second\n", "third\n"]);
}

#[test]
fn an_edit_is_kept_when_the_result_changes_too() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    env.write("outputs/joined.txt", "mine\n");
    env.run(&["--set", "word=bye"])
        .assert_executed(&["join", "make"]);
    assert_eq!(env.read("outputs/joined.txt"), "one\nbye\none\nbye\n");
    assert_eq!(set_aside(&env), ["mine\n"]);
}

#[test]
fn an_edit_in_a_folder_is_kept_as_often_as_it_is_made() {
    let env = TestEnv::of(
        "version: 1\nstages:\n  only:\n    run: { command: { program: [sh, -c, 'mkdir t; echo 1 > t/x; echo 2 > t/y'], outputs: [t/] } }\n    export: .\n",
    );
    env.run(&[]).assert_executed(&["only"]);
    let before = env.files("outputs");
    assert_eq!(before.len(), 2);
    for round in 1..=2 {
        env.remove("outputs/t/x");
        env.write("outputs/t/new", "mine\n");
        env.run(&[]).assert_executed(&[]);
        let mut after = env.files("outputs");
        after.retain(|name, _| !name.contains(".edited-"));
        assert!(after == before, "{after:?}");
        assert_eq!(set_aside(&env), ["mine\n", "2\n"].repeat(round));
    }
}

#[test]
fn an_edited_output_is_no_input() {
    let env = TestEnv::warm_study();
    let before = env.files("outputs");
    env.change("outputs/fits.json", |text| text.extend(b" "));
    env.change("outputs/cells.parquet", |bytes| bytes.truncate(10));
    let plot = ["--only", "plot", "--force", "plot"];
    env.run(&plot).assert_executed(&["plot"]);
    env.run(&[]).assert_executed(&[]);
    let mut after = env.files("outputs");
    after.retain(|name, _| !name.contains(".edited-"));
    assert!(after == before);
}

#[test]
fn an_edit_does_not_reach_the_cache() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    // In place, as an editor that keeps the inode would.
    env.change("outputs/joined.txt", |text| text[0] ^= 1);
    env.cpipe(&["verify"]).assert_code(0);
}
