//! An interrupted run ends soon, records nothing half-done, and goes on where it was.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::env::TestEnv;

/// Makes a marker, then sleeps for as long as the file `wait` is beside it.
const PIPELINE: &str = "version: 1
stages:
  first:
    run: { command: { program: [sh, -c, 'echo 1 > first.txt'], outputs: [first.txt] } }
  slow:
    needs: { first: first }
    run:
      command:
        program: [sh, -c, 'touch ROOT/started; while test -e ROOT/wait; do sleep 0.05; done; echo 2 > slow.txt']
        outputs: [slow.txt]
    export: .
";

/// Starts a run and waits until its slow node is under way.
fn start(env: &TestEnv) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_cpipe"))
        .arg("run")
        .current_dir(env.root())
        .env_remove("CPIPE_CACHE")
        .env_remove("CPIPE_DEVICE")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !env.path("started").exists() {
        assert!(Instant::now() < patience, "the slow node never started");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let status = Command::new("kill").args(["-s", name, &id]).status();
    assert!(status.unwrap().success());
}

/// A pipeline with a slow node that is under way.
fn under_way() -> (TestEnv, Child) {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    env.write("pipeline.yaml", PIPELINE.replace("ROOT", &root));
    env.write("wait", "");
    let child = start(&env);
    (env, child)
}

/// What was done counts, what was not runs, and nothing is damaged.
fn assert_goes_on(env: &TestEnv) {
    assert!(env.files("outputs").is_empty());
    env.remove("wait");
    env.run(&[]).assert_executed(&["slow"]);
    assert_eq!(env.read("outputs/slow.txt"), "2\n");
    env.cpipe(&["verify"]).assert_code(0);
}

#[test]
fn ctrl_c_ends_a_run_with_130() {
    let (env, mut child) = under_way();
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_goes_on(&env);
}

#[test]
fn a_killed_run_leaves_nothing_half_done() {
    let (env, mut child) = under_way();
    signal(&child, "KILL");
    child.wait().unwrap();
    assert_goes_on(&env);
}
