//! A folder with a pipeline in it, and the real `cpipe` binary run there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// The pipeline of the repository in small; see the file.
const STUDY: &str = include_str!("../fixtures/study.yaml");
/// Two commands: `make` → `join`, which reads what `make` wrote.
const COMMANDS: &str = include_str!("../fixtures/commands.yaml");

/// The repository's folder.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A temp folder that holds `pipeline.yaml` and what it reads.
pub(crate) struct TestEnv {
    dir: TempDir,
}

/// How `cpipe` ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// A run as its `--json` events tell it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    /// The nodes that ran, sorted by name.
    pub(crate) executed: Vec<String>,
    pub(crate) cached: Vec<String>,
    /// Node → message.
    pub(crate) failed: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
    /// The last line.
    pub(crate) finished: Value,
}

impl TestEnv {
    /// A folder with this pipeline and nothing else.
    pub(crate) fn of(pipeline: &str) -> Self {
        let dir = TempDir::with_prefix("cpipe-test-").unwrap();
        let env = Self { dir };
        env.write("pipeline.yaml", pipeline);
        env
    }

    /// The small study with copies of the files that it reads.
    pub(crate) fn study() -> Self {
        let env = Self::of(STUDY);
        env.copy_sources(STUDY);
        env
    }

    /// A study of `examples/` in its place, with copies of the files that it reads.
    pub(crate) fn example(name: &str) -> Self {
        let env = Self {
            dir: TempDir::with_prefix("cpipe-test-").unwrap(),
        };
        let file = format!("examples/{name}/pipeline.yaml");
        let text = std::fs::read_to_string(repository().join(&file)).unwrap();
        env.write(&file, &text);
        env.copy_sources(&text);
        env
    }

    /// The example with every kind of stage, one of which reads a file of its own.
    pub(crate) fn every_stage() -> Self {
        let env = Self::example("every-stage");
        let script = "examples/every-stage/best.awk";
        copy(&repository().join(script), &env.path(script));
        env
    }

    /// Copies the repository's files that a pipeline names, which may say `../../` for its root.
    fn copy_sources(&self, pipeline: &str) {
        let paths = pipeline.split("path: ").skip(1);
        for path in paths.filter_map(|rest| rest.split([',', ' ']).next()) {
            let path = path.trim_start_matches("../");
            copy(&repository().join(path), &self.path(path));
        }
    }

    /// The small study after a run.
    pub(crate) fn warm_study() -> Self {
        let env = Self::study();
        env.run(&[]).assert_done();
        env
    }

    /// The two commands with their source.
    pub(crate) fn commands() -> Self {
        let env = Self::of(COMMANDS);
        env.write("data/in.txt", "one\n");
        env
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces text that must be there.
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no `{from}`");
        self.write(name, text.replace(from, to));
    }

    /// Removes a file, or a folder with all that is in it.
    pub(crate) fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// Cuts a file, or makes a damaged copy of it with `change`.
    pub(crate) fn change(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        self.write(name, bytes);
    }

    /// Relative path → content of every file below a folder; none if it is not there.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path(folder)];
        while let Some(next) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&next) else {
                continue;
            };
            for path in entries.map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.path(folder)).unwrap();
                    let name = name.to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    /// Runs `cpipe` here. No output of it may ever show a panic or a backtrace.
    pub(crate) fn cpipe(&self, args: &[&str]) -> Output {
        self.cpipe_with(args, &[])
    }

    /// The same with environment variables.
    pub(crate) fn cpipe_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        Self::cpipe_at(self.root(), args, variables)
    }

    /// Runs `cpipe` in a folder below this one.
    pub(crate) fn cpipe_in(&self, folder: &str, args: &[&str]) -> Output {
        Self::cpipe_at(&self.path(folder), args, &[])
    }

    fn cpipe_at(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_cpipe"))
            .args(args)
            .current_dir(folder)
            .env_remove("CPIPE_CACHE")
            .env_remove("CPIPE_DEVICE")
            .env("RUST_BACKTRACE", "full")
            .env("COLUMNS", "100")
            .envs(variables.iter().copied())
            .timeout(Duration::from_secs(120))
            .output()
            .unwrap();
        let output = Output {
            code: output.status.code().expect("cpipe ends by itself"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        output.assert_no_panic();
        output
    }

    /// `cpipe run --json ARGS`.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(&self.cpipe(&[&["run", "--json"], args].concat()))
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}

impl Output {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// What a person sees: the exit code, then both streams.
    pub(crate) fn shown(&self) -> String {
        format!("exit code {}\n{}{}", self.code, self.text(), self.stderr)
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}", self.stderr);
        self
    }

    fn assert_no_panic(&self) {
        for word in [
            "panicked",
            "backtrace",
            "internal error at",
            "please report",
        ] {
            let said =
                self.stderr.contains(word) || String::from_utf8_lossy(&self.stdout).contains(word);
            assert!(!said, "{self:?}");
        }
    }
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        let events: Vec<Value> = output
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("every line is a JSON object"))
            .collect();
        let of_kind = |kind: &'static str| events.iter().filter(move |e| e["event"] == kind);
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("").to_owned();
        let names = |kind: &'static str| {
            let mut names: Vec<String> = of_kind(kind).map(|e| text(e, "node")).collect();
            names.sort();
            names
        };
        let finished = events.last().cloned().unwrap_or_default();
        assert_eq!(finished["event"], "run_finished", "{output:?}");
        Self {
            code: output.code,
            executed: names("node_finished"),
            cached: names("node_cached"),
            failed: of_kind("node_failed")
                .map(|e| (text(e, "node"), text(e, "message")))
                .collect(),
            warnings: of_kind("warning").map(|e| text(e, "message")).collect(),
            finished,
        }
    }

    #[track_caller]
    pub(crate) fn assert_done(&self) -> &Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Everything is up to date and exactly these nodes ran.
    #[track_caller]
    pub(crate) fn assert_executed(&self, nodes: &[&str]) -> &Self {
        self.assert_done();
        assert_eq!(self.executed, nodes);
        self
    }
}

/// Snapshots without what differs from machine to machine and run to run.
macro_rules! assert_shown {
    ($env:expr, $output:expr) => {{
        let mut settings = insta::Settings::clone_current();
        let root = std::fs::canonicalize($env.root()).unwrap();
        settings.add_filter(&$crate::env::regex_of(root.to_str().unwrap()), "[ROOT]");
        settings.add_filter(r"\b[0-9a-f]{64}\b", "[HASH]");
        settings.add_filter(r"\b[0-9a-f]{2}/[0-9a-f]{62}\b", "[BLOB]");
        settings.add_filter(r"\b\d+\.\d\d s\b", "[TIME]");
        settings.set_prepend_module_to_snapshot(true);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($output.shown()));
    }};
}
pub(crate) use assert_shown;

/// A pattern that matches a path literally.
pub(crate) fn regex_of(path: &str) -> String {
    path.chars()
        .flat_map(|c| {
            let special = !c.is_alphanumeric() && c != '/';
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}
