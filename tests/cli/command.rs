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
fn a_link_as_output_is_refused_and_what_it_leads_to_left_alone() {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    let text = "version: 1\nstages: { a: { run: { command: { program: [ln, -s, ROOT/theirs, out], outputs: [out] } }, export: . } }\n";
    env.write("pipeline.yaml", text.replace("ROOT", &root));
    env.write("theirs", "before");
    let run = env.run(&[]);
    assert_eq!(run.code, 20);
    assert!(run.failed["a"].contains("out is a link"), "{run:?}");
    assert_eq!(env.read("theirs"), "before");
}

#[test]
fn its_standard_input_is_empty() {
    let env = failing("[sh, -c, 'cat > out.txt']");
    env.run(&[]).assert_executed(&["only"]);
    assert_eq!(env.read("outputs/out.txt"), "");
}

#[test]
fn a_long_log_has_its_beginning_and_end_and_says_where_it_was_cut() {
    let env = failing(
        "[sh, -c, 'echo first; head -c 30000000 /dev/zero | tr \\\\0 x; echo last >&2; echo 1 > out.txt']",
    );
    env.run(&[]).assert_executed(&["only"]);
    let log = env.cpipe(&["log", "only"]);
    let text = log.text();
    assert!(text.starts_with("first\nxxx") && text.ends_with("xxxlast\n"));
    assert!(text.len() < 13_000_000, "{}", text.len());
    let cut = text.lines().find(|line| line.starts_with("[cpipe: "));
    let dropped = 30_000_011 - (12 << 20);
    let said = format!("[cpipe: {dropped} bytes of this log were left out here]");
    assert_eq!(cut, Some(said.as_str()));
}

#[test]
fn what_it_leaves_running_keeps_nobody_waiting() {
    let env = failing("[sh, -c, 'sleep 600 & echo 1 > out.txt']");
    env.run(&[]).assert_executed(&["only"]);
}

#[test]
fn it_may_write_to_its_inputs() {
    let env = TestEnv::commands();
    env.replace(
        "pipeline.yaml",
        "cat data/in.txt > made.txt;",
        "echo x >> data/in.txt; cat data/in.txt > made.txt;",
    );
    env.run(&[]).assert_done();
    assert_eq!(env.read("data/in.txt"), "one\n");
}

/// A folder output with one file of the same name is a folder wherever it is read.
#[test]
fn a_folder_with_one_file_of_its_own_name_stays_a_folder() {
    let env = TestEnv::of(
        "version: 1\nstages:\n  a: { run: { command: { program: [sh, -c, 'mkdir t; echo 1 > t/t'], outputs: [t/] } } }\n  b:\n    needs: { in: a }\n    run: { command: { program: [cp, in/t/t, out.txt], outputs: [out.txt] } }\n    export: .\n",
    );
    env.run(&[]).assert_executed(&["a", "b"]);
    assert_eq!(env.read("outputs/out.txt"), "1\n");
}

#[test]
fn an_output_behind_a_link_is_refused() {
    let env = failing("[sh, -c, 'ln -s /etc/hostname out.txt']");
    let run = env.run(&[]);
    assert_eq!(run.code, 20);
    assert!(run.failed["only"].contains("out.txt is a link"), "{run:?}");
    let env = TestEnv::of(
        "version: 1\nstages:\n  only: { run: { command: { program: [sh, -c, 'rmdir sub; ln -s /etc sub'], outputs: [sub/hostname] } } }\n",
    );
    let run = env.run(&[]);
    assert_eq!(run.code, 20);
    assert!(run.failed["only"].contains("is a link"), "{run:?}");
}

/// A process that left the program's group, and keeps its output open, cannot write into the cache.
#[test]
fn what_is_written_after_the_end_does_not_reach_the_cache() {
    let env = TestEnv::of(
        r#"version: 1
stages:
  a: { run: { command: { program: [sh, -c, "echo right > o; setsid env -i sh -c 'exec 3>>o; touch go; sleep 1; echo WRONG >&3' & until [ -e go ]; do sleep 0.01; done"], outputs: [o] } } }
  wait: { run: { command: { program: [sh, -c, "sleep 2; echo > w"], outputs: [w] } } }
  b: { needs: { in: a, w: wait }, run: { command: { program: [cp, in/o, o], outputs: [o] } }, export: . }
"#,
    );
    env.run(&[]).assert_executed(&["a", "b", "wait"]);
    assert_eq!(env.read("outputs/o"), "right\n");
    env.cpipe(&["verify"]).assert_code(0);
}

#[test]
fn a_working_folder_that_was_replaced_is_refused() {
    let env = TestEnv::of("");
    env.write("user/o", "precious");
    let text = "version: 1\nstages: { a: { run: { command: { program: [sh, -c, 'd=$(pwd); cd ..; rm -rf $d; ln -s ROOT/user $d'], outputs: [o] } } } }\n";
    env.write(
        "pipeline.yaml",
        text.replace("ROOT", env.root().to_str().unwrap()),
    );
    let run = env.run(&[]);
    assert_eq!(run.code, 20);
    assert!(run.failed["a"].contains("working folder"), "{run:?}");
    assert_eq!(env.read("user/o"), "precious");
}

#[test]
fn an_output_inside_another_is_refused_beforehand() {
    for outputs in ["[d/x, d/]", "[d/, d/x]", "[d/x, d//x]", "[d, d/]"] {
        let env = TestEnv::of(&format!(
            "version: 1\nstages: {{ a: {{ run: {{ command: {{ program: ['true'], outputs: {outputs} }} }} }} }}\n"
        ));
        let output = env.cpipe(&["run"]);
        output.assert_code(10);
        assert!(output.stderr.contains("the output `d"), "{}", output.stderr);
    }
}

#[test]
fn its_standard_input_cannot_be_written() {
    let env = failing("[sh, -c, 'echo junk >&0; cat > out.txt']");
    env.run(&[]).assert_executed(&["only"]);
    assert_eq!(env.read("outputs/out.txt"), "");
}
