//! Copies of files: new ones with the user's umask, sharing blocks where the file system can.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Smaller files are not worth a request to share blocks.
const WORTH_SHARING: u64 = 64 * 1024;

/// Makes a new file; whoever may read it may execute it if it is executable.
pub(crate) fn create(path: &Path, executable: bool) -> io::Result<File> {
    let mode = if executable { 0o777 } else { 0o666 };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).open(path)
}

/// Copies the content of a file to a new one. Of its mode only the executable bit is kept.
pub fn copy_file(from: &Path, to: &Path, executable: bool) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = create(to, executable)?;
    let size = source.metadata()?.len();
    if size < WORTH_SHARING || rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        io::copy(&mut source, &mut target)?;
    }
    Ok(())
}

/// Whether a copy in the existing folder `to` of a file in `from` shares its blocks: tried out with
/// a file of one byte.
pub fn shares_blocks(from: &Path, to: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let disk = |folder: &Path| std::fs::metadata(folder).map(|meta| meta.dev()).ok();
    let there = from.ancestors().find(|folder| folder.is_dir());
    if there.and_then(disk) != disk(to) {
        return false;
    }
    let tried = || {
        let dir = tempfile::tempdir_in(to)?;
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        std::fs::write(&one, b"x")?;
        rustix::fs::ioctl_ficlone(create(&other, false)?, File::open(&one)?)?;
        io::Result::Ok(())
    };
    tried().is_ok()
}
