//! Which files a program read without declaring them, by `strace`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::stage::StageError;

/// Folders that belong to the system and not to a study.
const SYSTEM: [&str; 10] = [
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/dev", "/sys", "/run",
];

/// Where the tracer writes, below a node's scratch folder.
pub(super) fn record_in(scratch: &Path) -> Result<PathBuf, StageError> {
    fs_err::create_dir_all(scratch).map_err(|e| StageError::io(scratch, e))?;
    Ok(scratch.join("trace"))
}

/// The tracer's own arguments, before the program.
pub(super) fn arguments(record: &Path) -> Vec<String> {
    let record = record.display().to_string();
    [
        "-f",
        "-qq",
        "-e",
        "trace=open,openat,execve",
        "-o",
        &record,
        "--",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Files outside `folder` and the system that were opened for reading, in order of name.
pub(super) fn undeclared(record: &str, folder: &Path) -> Vec<PathBuf> {
    let opened: BTreeSet<PathBuf> = record
        .lines()
        .filter_map(opened_file)
        .map(|path| folder.join(path))
        .collect();
    let is_own = |path: &PathBuf| !path.starts_with(folder);
    let is_foreign = |path: &PathBuf| !SYSTEM.iter().any(|system| path.starts_with(system));
    opened
        .into_iter()
        .filter(|path| is_own(path) && is_foreign(path) && path.is_file())
        .collect()
}

/// `12 openat(AT_FDCWD, "data.txt", O_RDONLY) = 3` → `data.txt`; none for failed calls and writes.
fn opened_file(line: &str) -> Option<&str> {
    let (call, result) = line.rsplit_once(" = ")?;
    if result.trim_start().starts_with('-') || call.contains("O_WRONLY") {
        return None;
    }
    let (_, rest) = call.split_once('"')?;
    let (path, _) = rest.split_once('"')?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_outside_the_folder_are_found_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (work, data) = (dir.path().join("work"), dir.path().join("data"));
        std::fs::create_dir_all(&work).unwrap();
        for path in [&data, &work.join("in")] {
            std::fs::write(path, "x").unwrap();
        }
        let record = format!(
            "7 openat(AT_FDCWD, \"{0}\", O_RDONLY) = 3\n\
             7 openat(AT_FDCWD, \"{0}.gone\", O_RDONLY) = -1 ENOENT (No such file)\n\
             7 openat(AT_FDCWD, \"in\", O_RDONLY|O_CLOEXEC) = 3\n\
             7 openat(AT_FDCWD, \"../data\", O_WRONLY) = 3\n\
             7 openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY) = 3\n\
             7 +++ exited with 0 +++\n",
            data.display()
        );
        assert_eq!(undeclared(&record, &work), [data]);
    }
}
