//! Panics of libraries that read files, as values.
//!
//! Some libraries index by what a damaged file says. No panic of theirs may end a run without the
//! file's name, or be shown as a bug of cpipe.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

static QUIET: Once = Once::new();

/// Does `work`; a panic in it is its message, and nothing is printed.
///
/// # Errors
/// The message of a panic.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    QUIET.call_once(be_quiet);
    let before = CONTAINED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    done.map_err(|panic| message(panic.as_ref()).to_owned())
}

/// Leaves the printing of panics as it is, but for those that are contained.
fn be_quiet() {
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !CONTAINED.get() {
            shown(info);
        }
    }));
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_its_message() {
        let empty: Vec<u8> = Vec::new();
        let message = contain(|| empty[0]).unwrap_err();
        assert!(message.contains("index out of bounds"), "{message}");
        assert_eq!(contain(|| 1), Ok(1));
    }
}
