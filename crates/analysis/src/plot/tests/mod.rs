//! The figures of a small study, of the nano suite's reference numbers, and of less happy studies.

mod baselines;
mod files;
mod golden;
mod layout;
mod look;
mod stage;
mod studies;
