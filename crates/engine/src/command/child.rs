//! A program and everything that it starts: begun, watched, ended.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::guardian;
use crate::log::Log;
use crate::stage::{StageContext, StageError};

/// How often a running program's run is asked whether it was interrupted.
const LOOK: Duration = Duration::from_millis(100);
/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);
/// The end of the log that a failure shows, in bytes and lines.
const SHOWN_BYTES: u64 = 8192;
const SHOWN_LINES: usize = 20;
/// Bytes that are read from the pipe at once: what it holds.
const BLOCK: usize = 1 << 16;
/// Most bytes that are read from the pipe once the program has ended.
const MOST_AFTER_THE_END: usize = 16 << 20;

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
    let failed = |e: io::Error| StageError::failed(format!("cannot wait for `{name}`: {e}"));
    let stdin = match context.programs.lock {
        Some(lock) => lock.try_clone().map_or(Stdio::null(), Stdio::from),
        None => Stdio::null(),
    };
    let (printed, end) = printed_pipe().map_err(failed)?;
    command
        .env("CPIPE_ACTION", context.programs.key)
        .stdin(stdin)
        .stdout(Stdio::from(end.try_clone().map_err(failed)?))
        .stderr(Stdio::from(end))
        .process_group(0);
    let child = command.spawn().map_err(|e| {
        let message = format!("cannot start `{name}`: {e}");
        StageError::hinted(message, "check that it is installed and on PATH")
    })?;
    // Its own copies of the pipe's end go, so that the pipe ends with the program.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _watched = guardian::watch(child.id(), context.programs.key);
    let log = context.programs.log;
    let mut output = Output {
        printed: Some(printed),
        log,
    };
    let ended = wait(&child, &mut output, context).map_err(failed)?;
    // A program that is gone prints nothing more; one that it left behind may never stop.
    let mut left = MOST_AFTER_THE_END;
    while let Ok(count @ 1..) = output.log_some()
        && left > 0
    {
        left = left.saturating_sub(count);
    }
    if let Some(log) = log {
        log.finish();
    }
    ended.ok_or(StageError::Cancelled)
}

/// A pipe for what a program prints. Reading from it never waits.
fn printed_pipe() -> io::Result<(File, OwnedFd)> {
    let (printed, end) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&printed, OFlags::NONBLOCK)?;
    Ok((File::from(printed), end))
}

/// None if the run was interrupted: then the whole group has been ended.
fn wait(
    child: &Child,
    output: &mut Output<'_>,
    context: &StageContext<'_>,
) -> io::Result<Option<Ended>> {
    let pid = pid_of(child);
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    while !output.wait_for(&ended, LOOK)? {
        if !(context.cancelled)() {
            continue;
        }
        // A group that is already gone is what was wanted.
        let _ = kill_process_group(pid, Signal::TERM);
        let late = Instant::now() + GRACE;
        while Instant::now() < late && !output.wait_for(&ended, LOOK)? {}
        let _ = kill_process_group(pid, Signal::KILL);
        reap(pid)?;
        return Ok(None);
    }
    let ended = reap(pid)?;
    // What it left running in its group must not outlive it.
    let _ = kill_process_group(pid, Signal::KILL);
    Ok(Some(ended))
}

/// What a program prints, on its way to the log.
struct Output<'o> {
    /// None once nobody prints any more.
    printed: Option<File>,
    log: Option<&'o Log>,
}

impl Output<'_> {
    /// Waits so long at most for the program's end, and logs what it prints meanwhile.
    fn wait_for(&mut self, ended: &OwnedFd, limit: Duration) -> io::Result<bool> {
        let limit = Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let mut fds = vec![PollFd::new(ended, PollFlags::IN)];
        let printed = self.printed.as_ref();
        fds.extend(printed.map(|printed| PollFd::new(printed, PollFlags::IN)));
        match poll(&mut fds, Some(&limit)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        let is_over = !fds[0].revents().is_empty();
        let has_printed = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if has_printed && !is_over {
            self.log_some()?;
        }
        Ok(is_over)
    }

    /// Logs what there is now, up to a block. How many bytes that were.
    fn log_some(&mut self) -> io::Result<usize> {
        let Some(printed) = &mut self.printed else {
            return Ok(0);
        };
        let mut block = vec![0; BLOCK];
        match printed.read(&mut block) {
            Ok(0) => self.printed = None,
            Ok(count) => {
                if let Some(log) = self.log {
                    log.write(&block[..count]);
                }
                return Ok(count);
            }
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Err(e),
            },
        }
        Ok(0)
    }
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
pub(super) fn said(log: Option<&Log>) -> String {
    let tail = log
        .and_then(|log| tail(log.path()).ok())
        .unwrap_or_default();
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
