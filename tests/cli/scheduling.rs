//! Selections, limits and retries from the outside.

use crate::env::TestEnv;

/// a[1], a[2] → b[1], b[2] → c.
const FAN: &str = "version: 1
pools: { seat: 1 }
matrix: { i: [1, 2] }
stages:
  a: { over: [i], run: { command: { program: [sh, -c, 'echo ${i} > out'], outputs: [out] } } }
  b: { over: [i], needs: { a: a }, run: { command: { program: [cp, a/out, out], outputs: [out] } } }
  c: { needs: { b: b }, run: { command: { program: [sh, -c, 'cat b/*/out > out'], outputs: [out] } } }
";

#[test]
fn selections_reach_up_and_down() {
    let executed = |args: &[&str]| TestEnv::of(FAN).run(args).assert_done().executed.clone();
    assert_eq!(executed(&["b[i=1]"]), ["a[i=1]", "b[i=1]"]);
    assert_eq!(executed(&["a[i=2]+"]).len(), 5);
    assert_eq!(executed(&["--until", "b"]).len(), 4);
    assert_eq!(executed(&["*[i=1]"]), ["a[i=1]", "b[i=1]"]);
    let env = TestEnv::of(FAN);
    env.run(&["--until", "a"])
        .assert_executed(&["a[i=1]", "a[i=2]"]);
    env.run(&["--from", "b[i=2]", "--until", "b"])
        .assert_executed(&["b[i=2]"]);
    env.run(&["--from", "b"]).assert_executed(&["b[i=1]", "c"]);
    env.run(&["--force", "b[i=1]+"])
        .assert_executed(&["b[i=1]", "c"]);
    let plan = env.cpipe(&["plan", "--force", "a[i=1]"]);
    assert!(
        plan.text().contains("run    a[i=1]: forced"),
        "{}",
        plan.text()
    );
    let graph = env.cpipe(&["graph", "--nodes", "+b[i=1]"]);
    assert_eq!(graph.text(), "a[i=1]\nb[i=1] ← a[i=1]\n");
    for wrong in [
        vec!["d"],
        vec!["b[i=3]"],
        vec!["--from", "c", "--until", "a"],
    ] {
        assert_eq!(env.cpipe(&[vec!["run"], wrong].concat()).code, 2);
    }
}

#[test]
fn a_pool_is_never_oversubscribed() {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    let take = "mkdir ROOT/seat && sleep 0.1 && rmdir ROOT/seat && echo ${i} > out";
    let text = FAN
        .replace("echo ${i} > out", &take.replace("ROOT", &root))
        .replace(
            "  a: { over: [i],",
            "  a: { over: [i], resources: { seat: 1 },",
        );
    env.write("pipeline.yaml", text);
    env.run(&["-j4"]).assert_done();
}

#[test]
fn a_stage_is_tried_again_and_the_attempt_is_not_in_the_key() {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    let program = "echo x >> ROOT/tries; test $(wc -l < ROOT/tries) -ge 3 && echo ok > out";
    let text = format!(
        "version: 1\nstages:\n  a:\n    retries: {{ times: 2, wait: 50ms }}\n    run: {{ command: {{ program: [sh, -c, '{}'], outputs: [out] }} }}\n",
        program.replace("ROOT", &root)
    );
    env.write("pipeline.yaml", &text);
    env.run(&[]).assert_executed(&["a"]);
    assert_eq!(env.read("tries"), "x\nx\nx\n");
    env.write("pipeline.yaml", text.replace("times: 2", "times: 9"));
    env.run(&[]).assert_executed(&[]);
}

#[test]
fn a_stage_that_takes_too_long_is_ended_with_all_it_started() {
    let env = TestEnv::of(
        "version: 1\nstages:\n  a:\n    timeout: 300ms\n    run: { command: { program: [sh, -c, 'sleep 100 & wait'], outputs: [out] } }\n",
    );
    let run = env.run(&[]);
    assert_eq!(run.code, 20);
    assert!(run.failed["a"].contains("time-out of 300ms"), "{run:?}");
}

#[test]
fn an_axis_that_a_stage_writes_is_run_through_in_one_go() {
    let env = TestEnv::of(
        "version: 1
matrix: { part: { output: 'split:parts.json' } }
stages:
  split: { run: { command: { program: [sh, -c, 'echo \"[one, two]\" > parts.json'], outputs: [parts.json] } } }
  each: { over: [part], run: { command: { program: [sh, -c, 'echo ${part} > out'], outputs: [out] } } }
  all: { needs: { each: each }, run: { command: { program: [sh, -c, 'cat each/*/out > out'], outputs: [out] } }, export: . }
",
    );
    let plan = env.cpipe(&["plan"]);
    assert!(
        plan.text().contains("once `split` has run"),
        "{}",
        plan.text()
    );
    env.run(&[]).assert_done();
    assert_eq!(env.read("outputs/out"), "one\ntwo\n");
    env.run(&[]).assert_executed(&[]);
    env.replace("pipeline.yaml", "[one, two]", "[two, three]");
    let again = env.run(&[]);
    again.assert_done();
    assert_eq!(again.executed, ["all", "each[part=three]", "split"]);
    assert_eq!(env.read("outputs/out"), "three\ntwo\n");
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn a_trace_names_what_was_read_without_being_declared() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        eprintln!("skipped: strace is not installed");
        return;
    }
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    env.write("secret.txt", "x");
    let text = format!(
        "version: 1\nstages: {{ a: {{ run: {{ command: {{ program: [sh, -c, 'cat {root}/secret.txt > out'], outputs: [out] }} }} }} }}\n"
    );
    env.write("pipeline.yaml", text);
    let output = env.cpipe(&["run", "--trace"]);
    let warning = format!("a read {root}/secret.txt, which it does not declare");
    assert!(
        output.assert_code(0).stderr.contains(&warning),
        "{}",
        output.stderr
    );
}
