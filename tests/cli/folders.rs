//! Whatever a program leaves behind comes back as it was, or its node is refused by name; nothing
//! outside the node's folder changes.
//!
//! `CPIPE_TREES` says how many random trees are tried (200 if it is not set), and `CPIPE_TREES_SEED`
//! with which seed: a failure prints it.

mod random;
mod seen;

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::{Run, TestEnv};
use random::{OUTSIDE, Random, Script};
use seen::Verdict;

/// Trees of one pipeline.
const BATCH: usize = 50;

/// What a node sees of the outputs of the one before it.
const LOOK: &str = "set -e
cd made
{
  find out -mindepth 1 -printf '%y\\0%m\\0%l\\0out/%P\\0'
  find one -printf '%y\\0%m\\0%l\\0one\\0'
  printf '\\0'
  find out one -type f -exec sha256sum -z {} +
} > ../seen
";

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn random_trees_come_back_or_are_refused() {
    let trees = number("CPIPE_TREES").map_or(200, |trees| trees as usize);
    let seed = number("CPIPE_TREES_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let mut random = Random(seed);
    let mut refused = 0;
    for first in (0..trees).step_by(BATCH) {
        let batch = Batch::new(&mut random, seed, BATCH.min(trees - first));
        refused += batch.check();
    }
    // Both kinds are tried: by what the scripts do, about 4 in 10 are refused.
    if trees >= 100 {
        let share = refused as f64 / trees as f64;
        assert!(
            (0.2..0.7).contains(&share),
            "{share} are refused, seed {seed}"
        );
    }
}

/// A pipeline with a stage for each tree and one that looks at it.
struct Batch {
    env: TestEnv,
    seed: u64,
    trees: Vec<Tree>,
}

struct Tree {
    script: Vec<u8>,
    verdict: Verdict,
}

impl Batch {
    fn new(random: &mut Random, seed: u64, size: usize) -> Self {
        let env = TestEnv::of(&pipeline(size));
        make_outside(&env);
        env.write("look.sh", LOOK);
        let outside = env.path("outside").to_str().unwrap().to_owned();
        let trees = (0..size).map(|i| {
            let script = Script::random(random, &outside);
            env.write(&format!("tree{i}.sh"), &script);
            let verdict = judge(&env, i);
            Tree { script, verdict }
        });
        let trees = trees.collect();
        // What stands here is what programs outside of cpipe have made.
        tear_down(&env.path("expected"));
        Self { env, seed, trees }
    }

    /// Returns how many nodes were refused.
    fn check(&self) -> usize {
        let before = seen::snapshot(&self.env.path("outside"));
        let run = self.env.run(&["-j2"]);
        let refused = self.check_run(&run);
        self.check_outputs(&self.env.path("outputs"), &refused);
        assert!(
            before == seen::snapshot(&self.env.path("outside")),
            "something outside has changed, with CPIPE_TREES_SEED={}",
            self.seed
        );
        let cached = seen::inodes(&self.env.path("cache"));
        let theirs = seen::inodes(&self.env.path("outside"));
        assert!(cached.is_disjoint(&theirs), "seed {}", self.seed);
        self.check_again(&refused);
        self.check_elsewhere(&refused);
        tear_down(self.env.root());
        refused.iter().filter(|is_refused| **is_refused).count()
    }

    /// Each node did what it should have; returns those that were refused.
    fn check_run(&self, run: &Run) -> Vec<bool> {
        let code = if run.failed.is_empty() { 0 } else { 20 };
        assert_eq!(run.code, code, "{run:?}");
        let refused: Vec<bool> = (0..self.trees.len())
            .map(|i| run.failed.contains_key(&format!("tree{i}")))
            .collect();
        for (i, tree) in self.trees.iter().enumerate() {
            let context = self.context(i);
            let message = run.failed.get(&format!("tree{i}"));
            match (&tree.verdict, message) {
                (Verdict::Kept(_) | Verdict::Either(..), None) => {
                    let both = [format!("look{i}"), format!("tree{i}")];
                    let ran = both.iter().all(|node| run.executed.contains(node));
                    assert!(ran, "{run:?}, {context}");
                }
                (Verdict::Kept(_), Some(message)) => {
                    panic!("refused: {message}\nin {context}");
                }
                (Verdict::Refused(words), None) => panic!("{words:?} are not refused in {context}"),
                (Verdict::Refused(words) | Verdict::Either(_, words), Some(message)) => {
                    let is_named = words.iter().any(|word| message.contains(word));
                    assert!(is_named, "{message}\nnames none of {words:?}\nin {context}");
                    let is_escaped = !message.contains(|c: char| c.is_control() || c == '\u{fffd}');
                    assert!(is_escaped, "{message:?}\nin {context}");
                }
            }
        }
        refused
    }

    /// The exported copies, and what the stages saw that read the outputs.
    fn check_outputs(&self, outputs: &Path, refused: &[bool]) {
        for (i, tree) in self.trees.iter().enumerate() {
            let (exported, context) = (outputs.join(i.to_string()), self.context(i));
            if refused[i] {
                assert!(!exported.exists(), "{context}");
                continue;
            }
            let (Verdict::Kept(expected) | Verdict::Either(expected, _)) = &tree.verdict else {
                panic!("it was not refused: {context}");
            };
            let found = seen::listing(&exported);
            assert_eq!(found, *expected, "{context}");
            let report = fs::read(outputs.join(format!("look/{i}/seen"))).unwrap();
            seen::assert_seen(&report, &exported, expected, &context);
        }
    }

    /// A second run finds every copy in its place.
    fn check_again(&self, refused: &[bool]) {
        let run = self.env.run(&["-j2"]);
        assert_eq!(run.executed, Vec::<String>::new(), "seed {}", self.seed);
        assert_eq!(run.warnings, Vec::<String>::new(), "seed {}", self.seed);
        assert_eq!(run.failed.len(), refused.iter().filter(|r| **r).count());
    }

    /// A second machine, with a copy of the cache that lost all modes.
    fn check_elsewhere(&self, refused: &[bool]) {
        self.env.remove("outputs");
        let moved = self.env.path("moved");
        fs::rename(self.env.path("cache"), &moved).unwrap();
        shell(
            self.env.root(),
            "cp -r --no-preserve=mode moved cache && chmod -R u+w moved && rm -rf moved",
        );
        let run = self.env.run(&["-j2"]);
        assert_eq!(run.executed, Vec::<String>::new(), "seed {}", self.seed);
        self.check_outputs(&self.env.path("outputs"), refused);
    }

    fn context(&self, i: usize) -> String {
        let script = String::from_utf8_lossy(&self.trees[i].script).into_owned();
        format!("CPIPE_TREES_SEED={} tree{i}.sh:\n{script}", self.seed)
    }
}

fn pipeline(size: usize) -> String {
    let mut text = "version: 1\nstages:\n".to_owned();
    for i in 0..size {
        let _ = writeln!(
            text,
            "  tree{i}: {{ run: {{ command: {{ program: [sh, tree{i}.sh], files: [tree{i}.sh], outputs: [out/, one] }} }}, export: '{i}' }}\n  \
             look{i}: {{ needs: {{ made: tree{i} }}, run: {{ command: {{ program: [sh, look.sh], files: [look.sh], outputs: [seen] }} }}, export: look/{i} }}"
        );
    }
    text
}

/// Files that trees link to.
fn make_outside(env: &TestEnv) {
    for (name, mode) in OUTSIDE.into_iter().zip([0o755, 0o000]) {
        let name = format!("outside/{name}");
        env.write(&name, "theirs\n");
        fs::set_permissions(env.path(&name), Permissions::from_mode(mode)).unwrap();
    }
    UnixListener::bind(env.path("outside/socket")).unwrap();
}

/// Runs a tree's script where cpipe is not, and says what has to become of what it made.
fn judge(env: &TestEnv, i: usize) -> Verdict {
    let folder = env.path(&format!("expected/{i}"));
    fs::create_dir_all(&folder).unwrap();
    shell(&folder, &format!("sh ../../tree{i}.sh"));
    seen::judge(&folder)
}

fn shell(folder: &Path, line: &str) {
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", line]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

/// Removes what may have folders without any rights.
fn tear_down(folder: &Path) {
    let mut left: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        let _ = fs::set_permissions(&next, Permissions::from_mode(0o700));
        for entry in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
}
