//! Everything but the card: the launches of the forward pass with plain Rust twins of the kernels, and
//! with the kernels themselves in an emulator; and all of it on a card where there is one.

mod attention;
mod bench;
#[cfg(feature = "cuda")]
mod driver;
mod emulator;
mod forward;
mod host;
mod kernels;
mod oracle;
mod products;
mod twins;
