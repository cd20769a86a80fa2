//! Putting a finished copy in its place without losing what is there.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Bytes of a name that are kept when it gets an ending: a file name has 255 at most.
const LONGEST_KEPT: usize = 220;

/// Renames `copy` to `target`. Whatever is there, also if it came a moment ago, is kept under a free
/// name beside it. Returns those names.
///
/// At every instant `target` is the old or the new, where the file system can exchange two names.
pub(super) fn replace(copy: &Path, target: &Path) -> io::Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    loop {
        match rename_new(copy, target) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            placed => return placed.map(|()| kept),
        }
        let aside = free_name(target);
        if let Err(e) = rename_new(copy, &aside) {
            if e.kind() == io::ErrorKind::AlreadyExists {
                continue;
            }
            return Err(e);
        }
        if renameat_with(CWD, &aside, CWD, target, RenameFlags::EXCHANGE).is_ok() {
            kept.push(aside);
            return Ok(kept);
        }
        // The target is gone by now, or the file system can't exchange names.
        rename_new(&aside, copy)?;
        match rename_new(target, &aside) {
            Ok(()) => kept.push(aside),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
}

/// Renames something to a free name beside it, and gives that. None if it is gone by now.
pub(super) fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    loop {
        let aside = free_name(path);
        match rename_new(path, &aside) {
            Ok(()) => return Ok(Some(aside)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        }
    }
}

fn free_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kept = name.char_indices().take_while(|(at, _)| *at < LONGEST_KEPT);
    let name: String = kept.map(|(_, c)| c).collect();
    let mut number = 1_u64;
    loop {
        let free = path.with_file_name(format!("{name}.edited-{number}"));
        if free.symlink_metadata().is_err() {
            return free;
        }
        number += 1;
    }
}

/// Renames without replacing anything.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(from, to)
        }
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_kept_whatever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (copy, target) = (dir.path().join("copy"), dir.path().join("target"));
        std::fs::write(&copy, "1").unwrap();
        assert!(replace(&copy, &target).unwrap().is_empty());
        std::fs::create_dir(&copy).unwrap();
        let kept = replace(&copy, &target).unwrap();
        assert!(target.is_dir() && !copy.exists());
        assert_eq!(kept, [dir.path().join("target.edited-1")]);
        assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), "1");
        std::fs::write(&copy, "2").unwrap();
        let kept = replace(&copy, &target).unwrap();
        assert_eq!(kept, [dir.path().join("target.edited-2")]);
        assert!(kept[0].is_dir());
        assert_eq!(
            set_aside(&target).unwrap(),
            Some(dir.path().join("target.edited-3"))
        );
        assert_eq!(set_aside(&target).unwrap(), None);
    }
}
