//! A process that outlives cpipe by a moment, to end what cpipe left running.
//!
//! A run that is killed can't end its programs itself. So the first program of a run also starts a
//! guardian: this binary again, which is told of every process group and waits for the pipe from
//! cpipe to close. Then it ends the groups, and every process that carries the key of one of their
//! actions in its environment, such as daemons that left the group.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The hidden argument that makes the binary a guardian.
pub const ARGUMENT: &str = "__guardian";

/// Whether guardians are started: only a binary that understands [`ARGUMENT`] can be one.
static ENABLED: OnceLock<()> = OnceLock::new();
/// The pipe to the guardian; none if it could not be started.
static PIPE: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();

/// Has programs guarded from now on. For binaries that call [`serve`] when [`ARGUMENT`] is given.
pub fn enable() {
    ENABLED.get_or_init(|| ());
}

/// A group that the guardian knows of until this is dropped.
pub(super) struct Watched(u32);

/// Tells the guardian of a process group.
pub(super) fn watch(group: u32, key: &str) -> Watched {
    tell(&format!("+{group} {key}\n"));
    Watched(group)
}

impl Drop for Watched {
    fn drop(&mut self) {
        tell(&format!("-{}\n", self.0));
    }
}

fn tell(line: &str) {
    if ENABLED.get().is_none() {
        return;
    }
    let pipe = PIPE.get_or_init(start);
    if let Some(pipe) = pipe {
        let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a guardian programs still end with the run in all cases but a kill.
        let _ = pipe.write_all(line.as_bytes());
    }
}

fn start() -> Option<Mutex<ChildStdin>> {
    let mut child = Command::new(std::env::current_exe().ok()?)
        .arg(ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C in a terminal goes to the foreground group, which it must survive.
        .process_group(0)
        .spawn()
        .ok()?;
    child.stdin.take().map(Mutex::new)
}

/// The guardian's whole life: reads until the pipe closes, then ends what is left.
pub fn serve() {
    let mut groups: BTreeMap<i32, String> = BTreeMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let rest = &line[1.min(line.len())..];
        let (group, key) = rest.split_once(' ').unwrap_or((rest, ""));
        let Ok(group) = group.parse() else { continue };
        if line.starts_with('+') {
            groups.insert(group, key.to_owned());
        } else {
            groups.remove(&group);
        }
    }
    for group in groups.keys().filter_map(|group| Pid::from_raw(*group)) {
        // One that is gone already is what was wanted.
        let _ = kill_process_group(group, Signal::KILL);
    }
    for pid in groups.values().flat_map(|key| carriers(key)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Processes whose environment names this action.
fn carriers(key: &str) -> Vec<Pid> {
    let marker = format!("CPIPE_ACTION={key}").into_bytes();
    let carries = |environment: Vec<u8>| environment.split(|byte| *byte == 0).any(|v| v == marker);
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(carries))
        .filter_map(Pid::from_raw)
        .collect()
}
