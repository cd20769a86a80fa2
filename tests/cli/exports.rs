//! `outputs/`: copies that a person may edit without harm.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

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

/// The bytes of a copy may be in the cache by chance: only what was written there by us is replaced.
#[test]
fn a_file_that_happens_to_be_in_the_cache_is_set_aside_all_the_same() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    std::fs::rename(env.path("data/in.txt"), env.path("outputs/joined.txt")).unwrap();
    let run = env.run(&["--only", "join"]);
    assert_eq!(run.warnings.len(), 1, "{run:?}");
    assert_eq!(set_aside(&env), ["one\n"]);
}

/// What a killed run had written is known: its copies are not taken for edits.
#[test]
fn copies_of_a_killed_run_are_known() {
    let env = TestEnv::commands();
    let slow = "\n  slow:\n    needs: { in: join }\n    run: { command: { program: [sleep, '60'], outputs: [x.txt] } }\n";
    env.write("pipeline.yaml", env.read("pipeline.yaml") + slow);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_cpipe"))
        .arg("run")
        .current_dir(env.root())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !env.path("outputs/joined.txt").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    env.replace("pipeline.yaml", slow, "");
    env.run(&["--set", "word=bye"]).assert_done();
    assert_eq!(env.read("outputs/joined.txt"), "one\nbye\none\nbye\n");
    assert!(set_aside(&env).is_empty());
}

#[test]
fn an_unedited_copy_that_may_not_be_written_is_replaced() {
    let env = TestEnv::of(
        "version: 1\nvars: { n: 1 }\nstages:\n  only:\n    run: { command: { program: [sh, -c, 'mkdir t; echo ${n} > t/x'], outputs: [t/] } }\n    export: .\n",
    );
    env.run(&[]).assert_done();
    std::fs::set_permissions(env.path("outputs/t"), Permissions::from_mode(0o555)).unwrap();
    env.run(&["--set", "n=2"]).assert_done();
    assert_eq!(env.read("outputs/t/x"), "2\n");
    assert!(set_aside(&env).is_empty());
}
