use std::cell::Cell;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::UnpackError;

/// What is unpacked may be this many times what was read, and [`FREE`] bytes more.
pub(super) const RATIO: u64 = 200;
const FREE: u64 = 64 << 20;
/// More files than this are no data set.
const MOST_FILES: usize = 2_000_000;
const BLOCK: usize = 1 << 16;

/// The only way into the target folder.
pub(super) struct Guard {
    archive: String,
    target: PathBuf,
    read: Rc<Cell<u64>>,
    written: u64,
    files: usize,
}

impl Guard {
    pub(super) fn new(archive: &str, target: &Path) -> Self {
        Self {
            archive: archive.to_owned(),
            target: target.to_owned(),
            read: Rc::default(),
            written: 0,
            files: 0,
        }
    }

    pub(super) fn archive(&self) -> &str {
        &self.archive
    }

    /// So many bytes of the archive were read, or can be.
    pub(super) fn has_read(&self, bytes: u64) {
        self.read.set(self.read.get() + bytes);
    }

    /// A reader of the archive whose bytes count.
    pub(super) fn count<R: Read>(&self, reader: R) -> Counted<R> {
        Counted {
            reader,
            read: Rc::clone(&self.read),
        }
    }

    /// Writes the file `name` below the target. What can't be read is the archive's fault.
    pub(super) fn copy(&mut self, name: &str, mut reader: impl Read) -> Result<(), UnpackError> {
        let path = self.target.join(self.inside(name)?);
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(self.refuse(name, "is one file too many"));
        }
        let failed = |source| UnpackError::Io {
            path: path.clone(),
            source,
        };
        fs_err::create_dir_all(path.parent().unwrap_or(&self.target)).map_err(failed)?;
        let mut file = std::fs::File::create_new(&path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => self.refuse(name, "is there twice"),
            _ => failed(e),
        })?;
        let mut block = vec![0; BLOCK];
        loop {
            let count = match reader.read(&mut block) {
                Ok(0) => return file.flush().map_err(failed),
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.damaged(&e)),
            };
            self.allow(count as u64)?;
            file.write_all(&block[..count]).map_err(failed)?;
        }
    }

    /// Refuses what is out of proportion, before it is written.
    fn allow(&mut self, count: u64) -> Result<(), UnpackError> {
        self.written += count;
        let limit = self.read.get().saturating_mul(RATIO).saturating_add(FREE);
        if self.written > limit {
            let archive = self.archive.clone();
            return Err(UnpackError::Bomb { archive, limit });
        }
        Ok(())
    }

    /// The relative path of an entry, if it stays inside.
    fn inside(&self, name: &str) -> Result<PathBuf, UnpackError> {
        let outside = name.contains(['\\', '\0', '\n']) || name.is_empty();
        let mut path = PathBuf::new();
        for component in Path::new(name).components() {
            match component {
                Component::Normal(part) if !outside => path.push(part),
                Component::CurDir if !outside => {}
                _ => return Err(self.refuse(name, "would be written outside its folder")),
            }
        }
        Ok(path)
    }

    pub(super) fn refuse(&self, entry: &str, reason: &'static str) -> UnpackError {
        UnpackError::Refused {
            archive: self.archive.clone(),
            entry: entry.to_owned(),
            reason,
        }
    }

    pub(super) fn damaged(&self, reason: &dyn ToString) -> UnpackError {
        UnpackError::Damaged {
            archive: self.archive.clone(),
            reason: reason.to_string(),
        }
    }
}

/// Counts what is read.
pub(super) struct Counted<R> {
    reader: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}
