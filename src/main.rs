//! cpipe: a declarative, reproducible pipeline for measurement studies of language models.

mod cli;
mod commands;
mod costs;
mod error;
mod holds;
mod options;
mod pins;
mod registry;
mod report;
mod reporter;
mod schema;
mod secrets;
mod session;
mod sources;

use std::process::ExitCode;

use clap::Parser;

use cpipe_engine::command::guardian;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == guardian::ARGUMENT)
    {
        guardian::serve();
        return ExitCode::SUCCESS;
    }
    error::quiet_panics();
    guardian::enable();
    let cli = cli::Cli::parse();
    match commands::dispatch(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            ExitCode::from(error.kind.exit_code())
        }
    }
}
