//! The user's view: the real binary in temp folders.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cat;
mod command;
mod determinism;
mod env;
mod examples;
mod exports;
mod faults;
mod folders;
mod gc;
mod graph;
mod interrupt;
mod layout;
mod moves;
mod not_files;
mod pins;
mod plan;
mod published;
mod readme;
mod records;
mod report;
mod report_browser;
mod run;
mod run_only;
mod scheduling;
mod set_aside;
mod shared_cache;
mod shell;
mod sources;
mod spec;
mod spelling;
mod update;
mod users;
mod verify;
