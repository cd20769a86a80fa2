//! Scoring GPT-NeoX on an NVIDIA card.
//!
//! `forward` and `pass` say what is computed, in launches of kernels (`kernels/*.cu`, compiled when
//! they are first needed) and matrix products; they know a card only as a `device::Device`. That is
//! a `card` in a build with the feature `cuda`. In tests it is the plain Rust of `tests/twins.rs`, or
//! the real kernels in an emulator: so that everything but the card itself is tested without one.

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod card;
#[cfg(feature = "cuda")]
mod cards;
#[cfg(feature = "cuda")]
mod compiler;
#[cfg(feature = "cuda")]
mod handles;
#[cfg(feature = "cuda")]
mod module;
#[cfg(feature = "cuda")]
mod product;
#[cfg(feature = "cuda")]
mod times;

#[cfg(any(test, feature = "cuda"))]
mod budget;
#[cfg(any(test, feature = "cuda"))]
mod device;
#[cfg(any(test, feature = "cuda"))]
mod forward;
#[cfg(any(test, feature = "cuda"))]
mod layers;
#[cfg(any(test, feature = "cuda"))]
mod packed;
#[cfg(any(test, feature = "cuda"))]
mod pass;
#[cfg(any(test, feature = "cuda"))]
mod slots;
#[cfg(any(test, feature = "cuda"))]
mod sources;
#[cfg(any(test, feature = "cuda"))]
mod spare;
#[cfg(test)]
mod tests;

#[cfg(not(feature = "cuda"))]
pub(crate) use absent::{Cards, Loaded, Slot};
#[cfg(feature = "cuda")]
pub(crate) use cards::{Cards, Loaded};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use device::DeviceError;
#[cfg(feature = "cuda")]
pub(crate) use slots::Slot;
