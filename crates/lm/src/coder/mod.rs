//! A range coder, and what is coded with it: tokens and the bits that the text does not hold.
//!
//! The length of a stream follows from the widths of its intervals alone, never from where they
//! start, so a score knows how long a code is from the probabilities of the tokens that occurred.

mod plane;
mod range;
mod token;

pub use plane::{decode_plane, encode_plane};
pub use range::{Decoder, Encoder, Length};
pub use token::{TOKEN_BITS, token_width};
