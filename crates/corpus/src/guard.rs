//! A decoder's panic on a damaged file becomes an error that names the file.
//!
//! The decoders are libraries, and some of them index by what a file says. No panic of theirs may end a
//! run without the file's name, or be shown as a bug of cpipe.

use cpipe_engine::contain;

use crate::error::CorpusError;
use crate::named::Named;

/// Does `work`, whose panics mean that the file is damaged.
pub(crate) fn guarded<T>(
    named: Named<'_>,
    work: impl FnOnce() -> Result<T, CorpusError>,
) -> Result<T, CorpusError> {
    contain(work)
        .unwrap_or_else(|panic| Err(named.damaged(format!("its decoder stopped at it ({panic})"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_file() {
        let named = Named {
            file: "a.flac",
            format: "FLAC",
            instead: "WAV",
        };
        let empty: Vec<u8> = Vec::new();
        let error = guarded(named, || Ok(empty[0])).unwrap_err().to_string();
        assert!(
            error.contains("`a.flac` is not a valid FLAC file"),
            "{error}"
        );
        assert_eq!(guarded(named, || Ok(1)).unwrap(), 1);
    }
}
