//! Remote sources as their users meet them: the program against a hub on the loopback.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod archives;
mod data;
mod hub;
mod pickles;
mod plan;
mod proxies;
mod server;
mod sources;
mod study;
mod take;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const CPIPE: &str = env!("CARGO_BIN_EXE_cpipe");

/// A folder of its own with a pipeline, a cache and a hub cache.
struct Study {
    dir: tempfile::TempDir,
    endpoint: String,
    environment: BTreeMap<String, String>,
}

/// What the program did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Study {
    fn new(endpoint: &str, pipeline: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pipeline.yaml"), pipeline).unwrap();
        Self {
            dir,
            endpoint: endpoint.to_owned(),
            environment: BTreeMap::new(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HF_HOME", self.path("hf"))
            .env("HF_ENDPOINT", &self.endpoint)
            .envs(&self.environment);
        command
    }

    fn cpipe(&self, arguments: &[&str]) -> Done {
        Self::finish(self.command(CPIPE).args(arguments))
    }

    /// Runs where no file may become larger than so many KiB: a write beyond that fails as it does
    /// on a full disk.
    fn cpipe_with_disk(&self, kib: usize, arguments: &str) -> Done {
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec {CPIPE} {arguments}");
        Self::finish(self.command("bash").args(["-c", &script]))
    }

    /// What a successful command writes, which need not be text.
    fn bytes(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(CPIPE).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    fn finish(command: &mut Command) -> Done {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Runs and must succeed.
    fn run(&self, arguments: &[&str]) -> Done {
        let done = self.cpipe(arguments);
        assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
        done
    }

    /// Every file below the folder that holds `secret`.
    fn files_with(&self, secret: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() && holds(&path, secret) {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn holds(path: &Path, secret: &str) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
