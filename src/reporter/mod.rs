//! Consumers of engine events: a person at a terminal, or a program that reads lines.

mod json;
mod terminal;

pub(crate) use json::JsonLines;
pub(crate) use terminal::Terminal;
