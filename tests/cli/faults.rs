//! Kills, flipped bits, moving inputs, many runs at once: what is finished stays, nothing wrong
//! ever leaves the cache.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::env::TestEnv;

/// Twelve small programs in two layers and their sum; each says when it runs.
const PROGRAMS: &str = "version: 1
matrix: { i: [1, 2, 3, 4, 5, 6] }
stages:
  a:
    over: [i]
    run: { command: { program: [sh, -c, 'echo a${i} >> ROOT/ran; sleep 0.02; echo ${i} > out'], outputs: [out] } }
  b:
    over: [i]
    needs: { a: a }
    run: { command: { program: [sh, -c, 'echo b${i} >> ROOT/ran; cat a/out a/out > out'], outputs: [out] } }
  sum:
    needs: { b: b }
    run: { command: { program: [sh, -c, 'echo sum >> ROOT/ran; cat b/*/out > out'], outputs: [out] } }
    export: .
";

fn programs() -> TestEnv {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    env.write("pipeline.yaml", PROGRAMS.replace("ROOT", &root));
    env
}

/// A fixed sequence of numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn start(env: &TestEnv, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cpipe"))
        .arg("run")
        .args(args)
        .current_dir(env.root())
        .env_remove("CPIPE_CACHE")
        .env_remove("CPIPE_DEVICE")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Results on record.
fn recorded(env: &TestEnv) -> usize {
    let files = env.files("cache/v1/actions").into_keys();
    files.filter(|name| is_manifest(name)).count()
}

/// Whether a file below `actions/` is a manifest and not its action, or a file half-written.
fn is_manifest(name: &str) -> bool {
    let hex = name.strip_suffix(".json").unwrap_or_default();
    !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit() || b == b'/')
}

/// The outputs are these files with these bytes, and nothing else.
fn assert_same(env: &TestEnv, expected: &BTreeMap<String, Vec<u8>>, when: &str) {
    let found = env.files("outputs");
    assert!(
        found.keys().eq(expected.keys()),
        "{when}: {:?}",
        found.keys()
    );
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{when}: {name} differs");
    }
}

/// Kills runs of a study at random moments; each time the next run has to end as an undisturbed one
/// does, and to run nothing that was finished.
fn kill_at_random(make: impl Fn() -> TestEnv, kills: u64) {
    let whole = make();
    let began = Instant::now();
    let all = whole.run(&[]).assert_done().executed.len();
    let length = began.elapsed().as_millis() as u64;
    let expected = whole.files("outputs");
    let mut random = Random(7);
    for kill in 0..kills {
        let env = make();
        let mut child = start(&env, &[]);
        std::thread::sleep(Duration::from_millis(random.below(length)));
        child.kill().unwrap();
        child.wait().unwrap();
        let finished = recorded(&env);
        let next = env.run(&[]);
        next.assert_done();
        assert_eq!(next.executed.len() + finished, all, "kill {kill}");
        assert_same(&env, &expected, &format!("kill {kill}"));
        env.cpipe(&["verify"]).assert_code(0);
    }
}

/// How many kills a test tries: a few by default, as many as `CPIPE_TEST_KILLS` says.
fn kills(few: u64) -> u64 {
    let wanted = std::env::var("CPIPE_TEST_KILLS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(few)
}

#[test]
fn programs_killed_at_random_moments() {
    kill_at_random(programs, kills(15));
}

#[test]
fn scores_killed_at_random_moments() {
    kill_at_random(TestEnv::study, kills(4));
}

#[test]
fn no_flipped_bit_ever_leaves_the_cache() {
    let env = programs();
    env.run(&[]).assert_done();
    let expected = env.files("outputs");
    let blobs: Vec<String> = env.files("cache/v1/blobs").into_keys().collect();
    let mut random = Random(11);
    for _ in 0..100 {
        let blob = &blobs[random.below(blobs.len() as u64) as usize];
        let path = format!("cache/v1/blobs/{blob}");
        let mut bytes = std::fs::read(env.path(&path)).unwrap();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        env.remove(&path);
        env.write(&path, bytes);
        env.remove("outputs");
        // A forced sum reads every blob of the layer above.
        env.run(&["--force", "sum"]).assert_done();
        assert_same(&env, &expected, "a flipped bit");
        // Whatever was not read is still damaged, and told.
        env.cpipe(&["verify", "--repair"]).assert_code(0);
        env.run(&["--force", "b"]).assert_done();
        assert_same(&env, &expected, "a flipped bit");
    }
    env.cpipe(&["verify"]).assert_code(0);
}

#[test]
fn an_input_that_changes_under_its_action_is_never_recorded() {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    let pipeline = "version: 1\nstages:\n  slow:\n    run:\n      command:\n        program: [sh, -c, 'cat data > out; touch ROOT/started; sleep 0.5']\n        files: [data]\n        outputs: [out]\n    export: .\n";
    env.write("pipeline.yaml", pipeline.replace("ROOT", &root));
    env.write("data", "before");
    let mut child = start(&env, &[]);
    wait_for(&env.path("started"));
    env.write("data", "after!");
    assert_eq!(child.wait().unwrap().code(), Some(20));
    assert_eq!(recorded(&env), 0);
    assert!(env.files("outputs").is_empty());
    env.run(&[]).assert_executed(&["slow"]);
    assert_eq!(env.read("outputs/out"), "after!");
}

fn wait_for(path: &Path) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < patience, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn eight_runs_at_once_run_each_node_once_in_all() {
    let env = programs();
    let mut runs: Vec<Child> = (0..8).map(|_| start(&env, &["-j2"])).collect();
    for run in &mut runs {
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for node in env.read("ran").lines() {
        *counts.entry(node.to_owned()).or_default() += 1;
    }
    assert_eq!(counts.len(), 13);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    env.cpipe(&["verify"]).assert_code(0);
    env.run(&[]).assert_executed(&[]);
}

/// Whether a process is there and no zombie.
fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

#[test]
fn no_program_outlives_a_run_that_is_killed() {
    let env = TestEnv::of("");
    let root = env.root().to_str().unwrap().to_owned();
    let pipeline = "version: 1\nstages:\n  nest:\n    run:\n      command:\n        program: [sh, -c, 'sleep 300 & echo $! > ROOT/child; setsid sleep 300 & echo $! > ROOT/away; echo $$ > ROOT/own; sleep 300']\n        outputs: [out]\n";
    env.write("pipeline.yaml", pipeline.replace("ROOT", &root));
    let mut child = start(&env, &[]);
    wait_for(&env.path("own"));
    std::thread::sleep(Duration::from_millis(200));
    let pids = ["own", "child", "away"].map(|name| env.read(name).trim().to_owned());
    assert!(pids.iter().all(|pid| lives(pid)));
    child.kill().unwrap();
    child.wait().unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while pids.iter().any(|pid| lives(pid)) {
        assert!(Instant::now() < patience, "left running: {pids:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
