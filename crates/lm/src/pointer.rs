//! Pointers of Git LFS, which lie in the place of a file that was never fetched.

/// How such a file begins.
const START: &[u8] = b"version https://git-lfs.github.com/spec/";
/// No pointer is longer.
const LONGEST: usize = 1024;

/// Refuses a pointer in the place of a model's file.
///
/// # Errors
/// What it is and what to do, as a lowercase fragment.
pub(crate) fn refuse(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > LONGEST || !bytes.starts_with(START) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(bytes);
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    let size = size.map_or_else(String::new, |size| format!(" of {size} bytes"));
    Err(format!(
        "it is a pointer of Git LFS, expected the file{size} itself: fetch it with `git lfs pull`"
    ))
}
