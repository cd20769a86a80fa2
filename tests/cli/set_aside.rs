//! What a user has put in the place of an exported copy is set aside, whatever it is.

#![allow(
    clippy::unnecessary_debug_formatting,
    reason = "names hold bytes that are not UTF-8"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::TestEnv;
use crate::users::{User, can_switch};

/// A file and a folder, both two folders deep.
const PIPELINE: &str = "
version: 1
vars: { word: one }
stages:
  f: { run: { command: { program: [sh, -c, 'echo ${word} > f'], outputs: [f] } }, export: sub/deep }
  t: { run: { command: { program: [sh, -c, 'mkdir -p t/in; echo ${word} > t/x; echo 2 > t/in/y'], outputs: [t/] } }, export: sub/deep }
";

/// What a user does, in the folder `outputs/sub/deep`; `$MINE` is a folder of theirs with a file `f`
/// and a folder `t` like those exported.
const DEEDS: [(&str, &str); 25] = [
    (
        "a folder in a file's place",
        "rm f; mkdir -p f/a; echo mine > f/a/b",
    ),
    ("an empty folder in a file's place", "rm f; mkdir f"),
    (
        "a folder without rights",
        "rm f; mkdir f; echo mine > f/a; chmod 000 f",
    ),
    ("a file in a folder's place", "rm -r t; echo mine > t"),
    ("an empty file in a folder's place", "rm -r t; : > t"),
    ("a link to a file", "rm f; ln -s \"$MINE/f\" f"),
    (
        "a link to a file without rights",
        "rm f; ln -s \"$MINE/closed\" f",
    ),
    (
        "a link to a folder in a file's place",
        "rm f; ln -s \"$MINE/t\" f",
    ),
    (
        "a link to a folder like ours",
        "rm -r t; ln -s \"$MINE/t\" t",
    ),
    ("a link to another folder", "rm -r t; ln -s \"$MINE\" t"),
    ("a link in the folder", "rm t/x; ln -s \"$MINE/f\" t/x"),
    (
        "a link to a folder in the folder",
        "rm -r t/in; ln -s \"$MINE/t/in\" t/in",
    ),
    ("a link to nowhere", "rm f; ln -s nowhere f"),
    ("a link to itself", "rm -r t; ln -s t t"),
    (
        "a link in a parent's place",
        "cd ..; mv deep \"$MINE/deep\"; ln -s \"$MINE/deep\" deep",
    ),
    (
        "a link in the first parent's place",
        "cd ../..; mv sub \"$MINE/sub\"; ln -s \"$MINE/sub\" sub",
    ),
    (
        "a file in a parent's place",
        "cd ..; rm -r deep; echo mine > deep",
    ),
    ("a pipe in a file's place", "rm f; mkfifo f"),
    ("a pipe in a folder's place", "rm -r t; mkfifo t"),
    ("a pipe in the folder", "mkfifo t/pipe"),
    ("a file without rights", "chmod 000 f"),
    (
        "an edited file without rights",
        "echo mine > f; chmod 000 f",
    ),
    (
        "a folder without rights in the folder",
        "echo mine > t/in/new; chmod 000 t/in",
    ),
    (
        "a name that is not UTF-8",
        "echo mine > \"$(printf 't/caf\\351')\"",
    ),
    (
        "an edited file whose name aside is taken",
        "echo mine > f; echo other > f.edited-1",
    ),
];

/// Inode → mode, and what is there, below some folders, without following links.
fn belongings(folders: &[PathBuf]) -> BTreeMap<u64, (u32, String)> {
    let mut all = BTreeMap::new();
    let mut left = folders.to_vec();
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let what = if meta.is_symlink() {
            format!("link to {:?}", fs::read_link(&path).unwrap())
        } else if meta.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten();
            left.extend(entries.map(|entry| entry.unwrap().path()));
            "folder".to_owned()
        } else if meta.is_file() {
            let content = fs::read(&path).unwrap_or_default();
            format!("file of {:?}", String::from_utf8_lossy(&content))
        } else {
            format!("{:?}", meta.file_type())
        };
        all.insert(meta.ino(), (meta.mode(), what));
    }
    all
}

/// Runs `cpipe`, as a user if there is one.
fn cpipe(env: &TestEnv, user: Option<&User>, args: &str) {
    let run = match user {
        Some(user) => user.run(env, args),
        None => env.run(&args.split_whitespace().collect::<Vec<_>>()),
    };
    run.assert_done();
}

fn check(user: impl Fn(&TestEnv) -> Option<User>, deed: (&str, &str), args: &str) {
    let (name, deed) = deed;
    let env = TestEnv::of(PIPELINE);
    for (file, content) in [
        ("f", "one\n"),
        ("t/x", "one\n"),
        ("t/in/y", "2\n"),
        ("closed", "one\n"),
    ] {
        env.write(&format!("mine/{file}"), content);
    }
    let user = user(&env);
    cpipe(&env, user.as_ref(), "");
    let ours = belongings(&[env.path("outputs")]);
    let mine = env.path("mine");
    let line = format!(
        "export MINE='{}'; chmod 000 \"$MINE/closed\"; cd outputs/sub/deep; {deed}",
        mine.display()
    );
    shell(&env, user.as_ref(), &line);
    let copies = belongings(&[env.path("outputs")]).into_iter();
    // A copy of ours with another mode is a copy of ours.
    let changed = copies.filter(|(inode, (_, what))| {
        let before = ours.get(inode);
        before.is_none_or(|(_, content)| content != what)
    });
    let theirs: BTreeMap<u64, (u32, String)> = changed
        .chain(belongings(std::slice::from_ref(&mine)))
        .collect();
    cpipe(&env, user.as_ref(), args);
    let word = if args.is_empty() { "one\n" } else { "two\n" };
    assert_eq!(env.read("outputs/sub/deep/f"), word, "{name}");
    assert_eq!(env.read("outputs/sub/deep/t/x"), word, "{name}");
    assert_eq!(env.read("outputs/sub/deep/t/in/y"), "2\n", "{name}");
    for path in ["f", "t", "t/x", "t/in"].map(|p| env.path("outputs/sub/deep").join(p)) {
        assert!(!is_link(&path), "{name}: {path:?} is a link");
    }
    let left = belongings(&[env.path("outputs"), mine]);
    for (inode, what) in theirs {
        let is_left = left.get(&inode) == Some(&what);
        assert!(is_left, "{name}, {args:?}: {what:?} is gone or changed");
    }
    shell(&env, None, "chmod -R u+rwX . 2>/dev/null || true");
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().is_symlink()
}

fn shell(env: &TestEnv, user: Option<&User>, line: &str) {
    if let Some(user) = user {
        user.shell(env, line).assert_code(0);
        return;
    }
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", line]).current_dir(env.root()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

#[test]
fn whatever_stands_in_a_copys_place_is_kept() {
    for deed in DEEDS {
        for args in ["", "--set word=two"] {
            check(|_| None, deed, args);
        }
    }
}

#[test]
fn what_cannot_be_read_is_kept_too() {
    if !can_switch() {
        return;
    }
    let owner = |env: &TestEnv| {
        let user = User::new(env, 7001, 7001, "", "022");
        user.owns(env, 7001, 0o755);
        Some(user)
    };
    for deed in DEEDS {
        for args in ["", "--set word=two"] {
            check(owner, deed, args);
        }
    }
}

#[test]
fn outputs_may_be_a_link_to_another_disk() {
    let env = TestEnv::of(PIPELINE);
    fs::create_dir(env.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", env.path("outputs")).unwrap();
    env.run(&[]).assert_executed(&["f", "t"]);
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read("elsewhere/sub/deep/f"), "one\n");
    assert!(is_link(&env.path("outputs")));
}

#[test]
fn a_second_name_of_a_copy_keeps_its_content() {
    let env = TestEnv::of(PIPELINE);
    env.run(&[]).assert_done();
    fs::hard_link(env.path("outputs/sub/deep/f"), env.path("mine")).unwrap();
    env.run(&["--set", "word=two"]).assert_done();
    assert_eq!(env.read("mine"), "one\n");
    assert_eq!(env.read("outputs/sub/deep/f"), "two\n");
}

#[test]
fn no_name_aside_is_taken_twice() {
    let env = TestEnv::of(PIPELINE);
    env.run(&[]).assert_done();
    env.write("outputs/sub/deep/f", "first\n");
    env.write("outputs/sub/deep/f.edited-1", "theirs\n");
    std::os::unix::fs::symlink("nowhere", env.path("outputs/sub/deep/f.edited-2")).unwrap();
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read("outputs/sub/deep/f.edited-1"), "theirs\n");
    assert!(is_link(&env.path("outputs/sub/deep/f.edited-2")));
    assert_eq!(env.read("outputs/sub/deep/f.edited-3"), "first\n");
    assert_eq!(env.read("outputs/sub/deep/f"), "one\n");
}
