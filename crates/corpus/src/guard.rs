//! A decoder's panic on a damaged file becomes an error that names the file.
//!
//! The decoders are libraries, and some of them index by what a file says. No panic of theirs may end a
//! run without the file's name, or be shown as a bug of cpipe.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::CorpusError;
use crate::named::Named;

thread_local! {
    static DECODES: Cell<bool> = const { Cell::new(false) };
}

static QUIET: Once = Once::new();

/// Does `work`, whose panics mean that the file is damaged.
pub(crate) fn guarded<T>(
    named: Named<'_>,
    work: impl FnOnce() -> Result<T, CorpusError>,
) -> Result<T, CorpusError> {
    QUIET.call_once(be_quiet);
    let before = DECODES.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    DECODES.set(before);
    done.unwrap_or_else(|panic| {
        let text = text(panic.as_ref());
        Err(named.damaged(format!("its decoder stopped at it ({text})")))
    })
}

/// Leaves the printing of panics as it is, but for those that are caught here.
fn be_quiet() {
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !DECODES.get() {
            shown(info);
        }
    }));
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
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
