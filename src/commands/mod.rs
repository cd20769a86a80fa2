//! One subcommand per file.

mod cat;
mod fit;
mod gc;
mod graph;
mod plan;
mod run;
mod status;
mod update;
mod verify;

use crate::cli::{Cli, Command};
use crate::error::CliError;

/// Runs the command; returns the exit code.
pub(crate) fn dispatch(cli: &Cli) -> Result<u8, CliError> {
    let pipeline = &cli.pipeline;
    match &cli.command {
        Command::Run(args) => run::run(pipeline, args),
        Command::Plan(args) => plan::plan(pipeline, args),
        Command::Status(args) => status::status(pipeline, args),
        Command::Graph(args) => graph::graph(pipeline, args),
        Command::Cat(args) => cat::cat(pipeline, args),
        Command::Fit(args) => fit::fit(pipeline, args),
        Command::Verify(args) => verify::verify(pipeline, args),
        Command::Gc(args) => gc::gc(pipeline, args),
        Command::Update(args) => update::update(pipeline, args),
    }
}

/// Writes data to stdout; a reader that has gone away is no error.
fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(bytes) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            let message = format!("cannot write to stdout: {e}");
            Err(CliError::new(crate::error::Kind::Cache, &message, None))
        }
        _ => Ok(()),
    }
}
