//! A cache of several users, and one that nobody may write.

use crate::env::{Run, TestEnv};
use crate::users::{User, can_switch};

const GROUP: u32 = 7000;

#[test]
fn users_of_one_group_share_a_cache() {
    if !can_switch() {
        return;
    }
    let env = TestEnv::commands();
    // Each has a primary group of their own; the folder passes its group on.
    let ann = User::new(&env, 7001, 7001, "7000", "002");
    let ben = User::new(&env, 7002, 7002, "7000", "002");
    ann.owns(&env, GROUP, 0o2775);
    ann.run(&env, "").assert_executed(&["join", "make"]);
    ben.run(&env, "").assert_executed(&[]);
    let bye = "--set word=bye";
    ben.run(&env, bye).assert_executed(&["join", "make"]);
    assert_eq!(env.read("outputs/joined.txt"), "one\nbye\none\nbye\n");
    ann.run(&env, bye).assert_executed(&[]);
    ann.run(&env, "").assert_executed(&[]);
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
    let new = "--set word=new";
    ann.run(&env, new).assert_executed(&["join", "make"]);
    ben.run(&env, new).assert_executed(&[]);
    for (user, args) in [
        (&ben, "run --force make"),
        (&ann, "run --force make"),
        (&ben, "verify"),
        (&ben, "why make"),
        (&ann, "log make"),
        (&ben, "gc --keep-runs 1"),
        (&ann, "run"),
        (&ann, "gc --keep-runs 1"),
        (&ben, "run"),
        (&ben, "status"),
        (&ann, "verify --repair"),
    ] {
        user.cpipe(&env, args).assert_code(0);
    }
}

#[test]
fn a_set_aside_copy_belongs_to_whoever_edited_it() {
    if !can_switch() {
        return;
    }
    let env = TestEnv::commands();
    let ann = User::new(&env, 7001, GROUP, "", "002");
    let ben = User::new(&env, 7002, GROUP, "", "002");
    ann.owns(&env, GROUP, 0o2775);
    ann.run(&env, "").assert_executed(&["join", "make"]);
    let edit =
        "rm -f outputs/joined.txt; echo mine > outputs/joined.txt; chmod 600 outputs/joined.txt";
    ben.shell(&env, edit).assert_code(0);
    // Ann can't read it, so that it can't be told from Ben's work.
    ann.run(&env, "").assert_executed(&[]);
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
    assert_eq!(env.read("outputs/joined.txt.edited-1"), "mine\n");
}

/// Commands that only read, with what they print.
const READING: [(&str, &str); 8] = [
    ("plan", ""),
    ("status", "make"),
    ("why make", "up to date"),
    ("show make", "made.txt"),
    ("cat join:joined.txt", "one\nhello\none\nhello\n"),
    ("log make", ""),
    ("runs", ""),
    ("graph", "make"),
];

#[test]
fn what_only_reads_needs_no_right_to_write() {
    let env = TestEnv::commands();
    env.write("data/in.txt", "one\n");
    let reader = can_switch().then(|| User::new(&env, 7003, 7003, "", "022"));
    env.run(&[]).assert_executed(&["join", "make"]);
    shell(&env, "chmod -R a+rX,a-w .");
    let cpipe = |args: &str| match &reader {
        Some(user) => user.cpipe(&env, args),
        None => env.cpipe(&args.split(' ').collect::<Vec<_>>()),
    };
    for (args, expected) in READING {
        let output = cpipe(args);
        output.assert_code(0);
        let shown = output.shown();
        assert!(shown.contains(expected), "{args}: {shown}");
    }
    let done = Run::of(&cpipe("run --json"));
    done.assert_executed(&[]);
    assert_eq!(done.cached, ["join", "make"]);
    let more = cpipe("run --set word=bye");
    more.assert_code(30);
    let said = "cannot be written, and make has to run";
    assert!(more.stderr.contains(said), "{}", more.stderr);
    shell(&env, "chmod -R u+w .");
}

#[test]
fn a_copied_cache_that_cannot_be_written_serves_a_reader() {
    let env = TestEnv::commands();
    let reader = can_switch().then(|| User::new(&env, 7003, 7003, "", "022"));
    env.run(&[]).assert_executed(&["join", "make"]);
    shell(
        &env,
        "cp -r --no-preserve=mode cache copy && chmod -R a+rX,a-w copy cache",
    );
    // The reader has outputs of their own.
    shell(&env, "rm -r outputs && mkdir outputs && chmod 777 outputs");
    let args = "run --json --cache copy";
    let output = match &reader {
        Some(user) => user.cpipe(&env, args),
        None => env.cpipe(&args.split(' ').collect::<Vec<_>>()),
    };
    output.assert_code(0);
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
    shell(&env, "chmod -R u+w .");
}

fn shell(env: &TestEnv, line: &str) {
    let mut sh = std::process::Command::new("sh");
    let status = sh.args(["-c", line]).current_dir(env.root()).status();
    assert!(status.unwrap().success(), "{line}");
}
