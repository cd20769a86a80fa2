//! A file of a source by its name, and what can be said against it.

use std::path::Path;

use crate::error::CorpusError;

/// A file, the format that it is read as, and what to convert it to if its kind is not read.
#[derive(Clone, Copy)]
pub(crate) struct Named<'f> {
    pub(crate) file: &'f str,
    pub(crate) format: &'static str,
    pub(crate) instead: &'static str,
}

impl Named<'_> {
    /// The file is cut or damaged.
    pub(crate) fn damaged(&self, reason: impl ToString) -> CorpusError {
        CorpusError::undecodable(self.file, self.format, reason)
    }

    /// The file may be whole, but its kind is not read.
    pub(crate) fn unread(&self, found: impl ToString) -> CorpusError {
        CorpusError::Unread {
            file: self.file.to_owned(),
            format: self.format,
            found: found.to_string(),
            instead: self.instead,
        }
    }

    /// The file would take too much memory.
    pub(crate) fn too_large(&self, found: impl ToString) -> CorpusError {
        CorpusError::TooLarge {
            file: self.file.to_owned(),
            format: self.format,
            found: found.to_string(),
        }
    }
}

/// The bytes of a file that is no pointer of Git LFS.
pub(crate) fn read(file: &str, path: &Path) -> Result<Vec<u8>, CorpusError> {
    let bytes = fs_err::read(path).map_err(|e| CorpusError::io(path, e))?;
    refuse_pointer(file, &bytes)?;
    Ok(bytes)
}

/// Pointers are shorter than this, says the specification of Git LFS.
const LONGEST_POINTER: usize = 1024;

/// Refuses the pointer that Git LFS leaves where a file was not fetched.
pub(crate) fn refuse_pointer(file: &str, bytes: &[u8]) -> Result<(), CorpusError> {
    if is_pointer(bytes) {
        let file = file.to_owned();
        return Err(CorpusError::Pointer { file });
    }
    Ok(())
}

/// Whether the bytes of a file are a pointer of Git LFS.
pub(crate) fn is_pointer(bytes: &[u8]) -> bool {
    let versions: [&[u8]; 2] = [
        b"version https://git-lfs.github.com/spec/",
        b"version https://hawser.github.com/spec/",
    ];
    bytes.len() < LONGEST_POINTER
        && versions.iter().any(|version| bytes.starts_with(version))
        && bytes.windows(5).any(|window| window == b"\noid ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

    #[test]
    fn a_pointer_is_refused_and_a_text_about_pointers_is_not() {
        let error = refuse_pointer("a/b.wav", POINTER.as_bytes()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`a/b.wav` is a pointer of Git LFS")
        );
        assert!(error.hint().unwrap().contains("git lfs pull"));
        let about = format!("{POINTER}{}", "and so on ".repeat(100));
        for text in [&about, &format!("# {POINTER}"), ""] {
            assert!(refuse_pointer("a.txt", text.as_bytes()).is_ok());
        }
    }
}
