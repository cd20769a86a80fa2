//! How many tokens a batch may have on a card.

use super::device::DeviceError;

/// More tokens at once than this no longer make products faster.
const MOST: usize = 32_768;
/// Products have a multiple of this many lines, so that few shapes of them occur.
pub(crate) const STEP: usize = 256;
/// Part of the free memory that is left to others.
const LEFT: usize = 16;

/// Reserves room for as many tokens as fit: what `bytes` says they need, begun at the free memory and
/// halved while `reserve` finds no room. Not fewer than one whole context, of which windows are made.
///
/// # Errors
/// Says what would fit, where not even one context does.
pub(crate) fn reserve<T>(
    context: usize,
    free: usize,
    bytes: impl Fn(usize) -> usize,
    mut reserve: impl FnMut(usize) -> Result<T, DeviceError>,
) -> Result<(usize, T), DeviceError> {
    let least = context.next_multiple_of(STEP);
    let mut tokens = MOST.max(least);
    while tokens > least && bytes(tokens) > free - free / LEFT {
        tokens = halved(tokens, least);
    }
    loop {
        match reserve(tokens) {
            Err(DeviceError::OutOfMemory { .. }) if tokens > least => {
                tokens = halved(tokens, least);
            }
            Err(DeviceError::OutOfMemory { .. }) => {
                return Err(too_large(least, bytes(least), free));
            }
            other => return other.map(|reserved| (tokens, reserved)),
        }
    }
}

fn halved(tokens: usize, least: usize) -> usize {
    (tokens / 2).next_multiple_of(STEP).max(least)
}

fn too_large(tokens: usize, bytes: usize, free: usize) -> DeviceError {
    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    DeviceError::Failed(format!(
        "the card has {} MiB free beside the model's weights and one window of {tokens} tokens needs {} MiB: \
         free memory on it, use a larger card or dtype bf16, or `--device cpu`",
        mib(free),
        mib(bytes)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reserved where `free` is what the card says and `real` is what it has.
    fn found(context: usize, free: usize, real: usize) -> Result<(usize, usize), String> {
        let mut tries = 0;
        let reserved = reserve(
            context,
            free,
            |tokens| 1000 * tokens,
            |tokens| {
                tries += 1;
                let bytes = 1000 * tokens;
                if bytes > real {
                    Err(DeviceError::OutOfMemory { bytes })
                } else {
                    Ok(())
                }
            },
        );
        reserved
            .map(|(tokens, ())| (tokens, tries))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_budget_follows_free_memory_and_is_halved_where_that_was_too_much() {
        assert_eq!(found(2048, 80_000_000_000, 80_000_000_000), Ok((32_768, 1)));
        assert_eq!(found(2048, 20_000_000, 20_000_000), Ok((16_384, 1)));
        assert_eq!(found(2048, 80_000_000_000, 9_000_000), Ok((8192, 3)));
        assert_eq!(found(500, 3_000_000, 600_000), Ok((512, 3)));
    }

    #[test]
    fn what_cannot_fit_says_what_would() {
        let error = found(2048, 1 << 20, 1 << 20).unwrap_err();
        for part in ["has 1 MiB free", "2048 tokens needs 2 MiB", "--device cpu"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn other_errors_are_not_tried_again() {
        let broken = |_| Err::<(), _>(DeviceError::Failed("broken".into()));
        let error = reserve(512, 1 << 30, |tokens| tokens, broken).err();
        assert_eq!(error.map(|e| e.to_string()).as_deref(), Some("broken"));
    }
}
