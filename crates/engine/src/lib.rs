//! The build engine of cpipe: a pipeline file in, up-to-date artifacts out.
//!
//! It expands `pipeline.yaml` over its matrix into a graph of nodes, keys every node by the BLAKE3
//! digests of what it depends on, keeps every output in a content-addressed cache, and runs only
//! what changed. It has never heard of a language model: what a stage does is behind [`Stage`].

pub mod action;
pub mod cache;
pub mod cell;
mod collect;
pub mod command;
mod contain;
pub mod digest;
pub mod error;
pub mod event;
mod execute;
pub mod explain;
pub mod exports;
pub mod graph;
mod input_files;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod places;
pub mod plan;
pub mod policy;
pub mod records;
pub mod regular;
pub mod run;
pub mod seen;
pub mod select;
pub mod spec;
pub mod stage;
mod stop;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tree;
pub mod why;

pub use action::{Action, ActionKey};
pub use cache::Cache;
pub use cell::Cell;
pub use contain::contain;
pub use digest::Digest;
pub use error::EngineError;
pub use input_files::InputFiles;
pub use lock::Lock;
pub use manifest::{Artifact, Manifest};
pub use stage::{Inputs, OutputDir, Report, Resources, Stage, StageContext, StageError, StageId};
