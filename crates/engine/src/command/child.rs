//! A program and everything that it starts: begun, watched, ended.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::guardian;
use crate::stage::{StageContext, StageError};

/// How often a running program's run is asked whether it was interrupted.
const LOOK: Duration = Duration::from_millis(100);
/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);
/// The end of the log that a failure shows, in bytes and lines.
const SHOWN_BYTES: u64 = 8192;
const SHOWN_LINES: usize = 20;

/// How a program ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Most memory that one of its processes had, in bytes.
    pub(super) peak_memory: u64,
}

/// Runs a program to its end in a process group of its own, with its output in the node's log.
///
/// Its standard input is the action's lock file, which is empty: as long as a process that it left
/// behind holds it, no other run starts the same action.
pub(super) fn run(
    command: &mut Command,
    name: &str,
    context: &StageContext<'_>,
) -> Result<Ended, StageError> {
    let stdin = match context.programs.lock {
        Some(lock) => lock.try_clone().map_or(Stdio::null(), Stdio::from),
        None => Stdio::null(),
    };
    let (stdout, stderr) = log_ends(context.programs.log)?;
    command
        .env("CPIPE_ACTION", context.programs.key)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0);
    let child = command.spawn().map_err(|e| {
        let message = format!("cannot start `{name}`: {e}");
        StageError::hinted(message, "check that it is installed and on PATH")
    })?;
    let _watched = guardian::watch(child.id(), context.programs.key);
    let failed = |e: io::Error| StageError::failed(format!("cannot wait for `{name}`: {e}"));
    wait(&child, context)
        .map_err(failed)?
        .ok_or(StageError::Cancelled)
}

fn log_ends(log: Option<&Path>) -> Result<(Stdio, Stdio), StageError> {
    let Some(path) = log else {
        return Ok((Stdio::null(), Stdio::null()));
    };
    let open = || {
        let file = File::options().create(true).append(true).open(path)?;
        Ok((Stdio::from(file.try_clone()?), Stdio::from(file)))
    };
    open().map_err(|e| StageError::io(path, e))
}

/// None if the run was interrupted: then the whole group has been ended.
fn wait(child: &Child, context: &StageContext<'_>) -> io::Result<Option<Ended>> {
    let pid = pid_of(child);
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let is_over = |limit: Duration| -> io::Result<bool> {
        let mut fds = [PollFd::new(&ended, PollFlags::IN)];
        let limit = Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        match poll(&mut fds, Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    };
    while !is_over(LOOK)? {
        if !(context.cancelled)() {
            continue;
        }
        // A group that is already gone is what was wanted.
        let _ = kill_process_group(pid, Signal::TERM);
        let late = Instant::now() + GRACE;
        while Instant::now() < late && !is_over(LOOK)? {}
        let _ = kill_process_group(pid, Signal::KILL);
        reap(pid)?;
        return Ok(None);
    }
    let ended = reap(pid)?;
    // What it left running in its group must not outlive it.
    let _ = kill_process_group(pid, Signal::KILL);
    Ok(Some(ended))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).expect("a child's pid is above 0")
}

/// Takes the exit status and the resources of a child; the standard library gives only the first.
#[expect(unsafe_code, reason = "wait4 has no safe wrapper")]
fn reap(pid: Pid) -> io::Result<Ended> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value of this plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live variables of the types that wait4 writes.
        let found = unsafe {
            libc::wait4(
                pid.as_raw_nonzero().get(),
                &raw mut status,
                0,
                &raw mut usage,
            )
        };
        if found >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(Ended {
        status: ExitStatus::from_raw(status),
        // Linux counts in KiB.
        peak_memory: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    })
}

/// The last lines of a log, or that there are none.
pub(super) fn said(log: Option<&Path>) -> String {
    let tail = log.and_then(|path| tail(path).ok()).unwrap_or_default();
    if tail.is_empty() {
        return "it printed nothing".to_owned();
    }
    format!("the end of what it printed:\n    {}", tail.join("\n    "))
}

fn tail(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(SHOWN_LINES);
    Ok(lines[start..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect())
}
