//! `command` stages that fail: what is said, and that nothing half-written is left.

use crate::env::{TestEnv, assert_shown};

/// A pipeline whose only stage runs `program`, and exports what it writes.
fn failing(program: &str) -> TestEnv {
    TestEnv::of(&format!(
        "version: 1\nstages:\n  only:\n    run: {{ command: {{ program: {program}, outputs: [out.txt] }} }}\n    export: .\n"
    ))
}

/// Runs it twice, so that no failure is taken for a result, and looks at outputs/ and the cache.
macro_rules! assert_fails {
    ($program:expr) => {{
        let env = failing($program);
        let output = env.cpipe(&["run"]);
        output.assert_code(20);
        assert!(env.files("outputs").is_empty());
        assert!(env.files("cache/v1/actions").is_empty());
        assert!(env.files("cache/v1/blobs").is_empty());
        assert_shown!(env, output);
        let again = env.run(&[]);
        assert_eq!((again.code, again.failed.len()), (20, 1), "{again:?}");
        assert_eq!(again.finished["failed"], 1);
    }};
}

#[test]
fn it_fails() {
    assert_fails!(r#"[sh, -c, "echo half > out.txt; echo no more disk >&2; exit 3"]"#);
}

#[test]
fn it_is_killed() {
    assert_fails!(r#"[sh, -c, "echo half > out.txt; kill -9 $$"]"#);
}

#[test]
fn it_does_not_write_its_output() {
    assert_fails!(r#"[sh, -c, "echo done > uot.txt"]"#);
}

#[test]
fn the_program_does_not_exist() {
    assert_fails!("[no-such-program-of-cpipe]");
}

#[test]
fn it_writes_a_folder_where_a_file_was_declared() {
    assert_fails!(r#"[sh, -c, "mkdir out.txt"]"#);
}

#[test]
fn what_needs_a_failed_node_is_skipped_and_the_rest_runs() {
    let env = TestEnv::commands();
    env.replace("pipeline.yaml", "cat data/in.txt > made.txt;", "exit 1;");
    let other = "\n  other:\n    run: { command: { program: [sh, -c, 'echo x > x.txt'], outputs: [x.txt] } }\n";
    env.write("pipeline.yaml", env.read("pipeline.yaml") + other);
    let output = env.cpipe(&["run", "-j1"]);
    output.assert_code(20);
    assert_shown!(env, output);
    env.run(&["other"]).assert_executed(&[]);
}

#[test]
fn a_file_that_it_reads_is_part_of_its_key() {
    let env = TestEnv::commands();
    env.run(&[]).assert_executed(&["join", "make"]);
    env.write("data/in.txt", "two\n");
    env.run(&[]).assert_executed(&["join", "make"]);
    assert_eq!(env.read("outputs/joined.txt"), "two\nhello\ntwo\nhello\n");
    env.write("data/in.txt", "one\n");
    env.run(&[]).assert_executed(&[]);
}

#[test]
fn only_the_declared_environment_is_passed_and_keyed() {
    let env = TestEnv::of(
        "version: 1\nstages:\n  only:\n    run: { command: { program: [sh, -c, 'echo $${SEEN-unset} $${HIDDEN-unset} > out.txt'], environment: [SEEN], outputs: [out.txt] } }\n    export: .\n",
    );
    let run = |seen, hidden| {
        let output = env.cpipe_with(&["run"], &[("SEEN", seen), ("HIDDEN", hidden)]);
        output.assert_code(0);
        (
            output.stderr.contains("1 executed"),
            env.read("outputs/out.txt"),
        )
    };
    assert_eq!(run("a", "x"), (true, "a unset\n".into()));
    assert_eq!(run("a", "y"), (false, "a unset\n".into()));
    assert_eq!(run("b", "y"), (true, "b unset\n".into()));
}

#[test]
fn a_link_as_output_is_kept_as_what_it_leads_to() {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    let text = "version: 1\nstages: { a: { run: { command: { program: [ln, -s, ROOT/theirs, out], outputs: [out] } }, export: . } }\n";
    env.write("pipeline.yaml", text.replace("ROOT", &root));
    env.write("theirs", "before");
    env.run(&[]).assert_executed(&["a"]);
    env.write("theirs", "after");
    env.remove("outputs");
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read("outputs/out"), "before");
    env.cpipe(&["verify"]).assert_code(0);
}
