//! `cpipe` run by other users: only root can do that, so others skip these tests.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use crate::env::{Output, Run, TestEnv};

/// A user, with groups as `setpriv` takes them.
pub(crate) struct User {
    id: u32,
    group: u32,
    groups: &'static str,
    umask: &'static str,
    /// The binary in a place that everybody can reach.
    binary: PathBuf,
}

/// Whether this process may become other users.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn can_switch() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let tool = Command::new("setpriv").arg("--version").output();
    let can = is_root && tool.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: it needs root and setpriv");
    }
    can
}

impl User {
    /// `groups` are those beside the primary one: `""`, or a list such as `7000,7001`.
    pub(crate) fn new(
        env: &TestEnv,
        id: u32,
        group: u32,
        groups: &'static str,
        umask: &'static str,
    ) -> Self {
        let binary = env.path("bin/cpipe");
        if !binary.exists() {
            std::fs::create_dir_all(env.path("bin")).unwrap();
            let built = env!("CARGO_BIN_EXE_cpipe");
            if std::fs::hard_link(built, &binary).is_err() {
                std::fs::copy(built, &binary).unwrap();
            }
            for path in [env.root().to_owned(), env.path("bin")] {
                let all = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(path, all).unwrap();
            }
        }
        Self {
            id,
            group,
            groups,
            umask,
            binary,
        }
    }

    /// Makes the folder of the pipeline this user's, for all of `group` to write in.
    pub(crate) fn owns(&self, env: &TestEnv, group: u32, mode: u32) {
        let mut left = vec![env.root().to_owned()];
        while let Some(path) = left.pop() {
            if path == env.path("bin") {
                continue;
            }
            chown(&path, Some(self.id), Some(group)).unwrap();
            if path.is_dir() {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                left.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
        }
    }

    /// Runs a line of the shell in the pipeline's folder, with `$CPIPE`.
    pub(crate) fn shell(&self, env: &TestEnv, line: &str) -> Output {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", self.id));
        command.arg(format!("--regid={}", self.group));
        match self.groups {
            "" => command.arg("--clear-groups"),
            groups => command.arg(format!("--groups={groups}")),
        };
        let line = format!("umask {}; {line}", self.umask);
        let output = command
            .args(["sh", "-c", &line])
            .current_dir(env.root())
            .env("CPIPE", &self.binary)
            .env("HOME", "/nonexistent")
            .env_remove("CPIPE_CACHE")
            .env_remove("CPIPE_DEVICE")
            .output()
            .unwrap();
        Output {
            code: output.status.code().expect("it ends by itself"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `cpipe ARGS`, as the shell reads them.
    pub(crate) fn cpipe(&self, env: &TestEnv, args: &str) -> Output {
        self.shell(env, &format!("\"$CPIPE\" {args}"))
    }

    /// `cpipe run --json ARGS`.
    pub(crate) fn run(&self, env: &TestEnv, args: &str) -> Run {
        Run::of(&self.cpipe(env, &format!("run --json {args}")))
    }
}
