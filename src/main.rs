//! cpipe: a declarative, reproducible pipeline for measurement studies of language models.

mod cli;
mod commands;
mod error;
mod registry;
mod reporter;
mod session;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    error::quiet_panics();
    let cli = cli::Cli::parse();
    match commands::dispatch(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            ExitCode::from(error.kind.exit_code())
        }
    }
}
