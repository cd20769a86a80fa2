//! HTTP(S): one client with retries, redirects, proxies and time-outs, and what is built on it.
//!
//! A body that breaks off is gone on with where it stopped. A token goes to the host that it is for
//! and to no other, and no URL is shown or kept with its query.

mod client;
mod download;
mod error;
mod proxy;
mod remote;

pub(crate) use client::{Client, Patience, Token};
#[cfg(test)]
use download::Arrived;
pub(crate) use download::{Wanted, download};
pub use error::HttpError;
pub(crate) use proxy::Proxies;
pub(crate) use remote::Remote;

#[cfg(test)]
mod tests;
