//! Reads files that a user wrote. A named pipe, a device or a folder in the place of one is refused
//! by what it is: opening a pipe would wait for a writer that may never come.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::EngineError;
use crate::tree::Fault;

/// Opens a regular file, or what a link to one leads to.
///
/// # Errors
/// Where it is not there, cannot be read, or is no regular file.
pub fn open(path: &Path) -> Result<File, EngineError> {
    let failed = |e| EngineError::io("read", path, e);
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if !kind.is_file() {
        return Err(EngineError::entry(path, Fault::in_place_of_file(kind)));
    }
    File::open(path).map_err(failed)
}

/// The content of a regular file.
///
/// # Errors
/// Those of [`open`].
pub fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    let read = io::copy(&mut open(path)?, &mut bytes);
    read.map_err(|e| EngineError::io("read", path, e))?;
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
/// Those of [`open`]; where it is not UTF-8, with the first byte that is not.
pub fn read_text(path: &Path) -> Result<String, EngineError> {
    String::from_utf8(read(path)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let reason = format!("it is not UTF-8 text (byte {at})");
        EngineError::io("read", path, io::Error::new(ErrorKind::InvalidData, reason))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_by_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (pipe, "a named pipe"),
            (link, "a named pipe"),
            (socket, "a socket"),
            (dir.path().to_owned(), "a folder"),
            (PathBuf::from("/dev/zero"), "a device"),
        ] {
            let error = read(&path).unwrap_err().to_string();
            let expected = format!("{} is {what}, and a file is expected there", path.display());
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_text_that_is_not_utf8_names_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"ab\xff").unwrap();
        let error = read_text(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("x: it is not UTF-8 text (byte 2)"),
            "{error}"
        );
        std::fs::write(&path, "ab").unwrap();
        assert_eq!(read_text(&path).unwrap(), "ab");
    }
}
