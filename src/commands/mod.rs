//! One subcommand per file.

mod cat;
mod diff;
mod du;
mod fit;
mod gc;
mod graph;
mod init;
mod log;
mod plan;
mod report;
mod run;
mod runs;
mod show;
mod status;
mod update;
mod verify;
mod why;

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::error::CliError;

/// Runs the command; returns the exit code.
pub(crate) fn dispatch(cli: &Cli) -> Result<u8, CliError> {
    let pipeline = &cli.pipeline;
    match &cli.command {
        Command::Run(args) => run::run(pipeline, args),
        Command::Plan(args) => plan::plan(pipeline, args),
        Command::Why(args) => why::why(pipeline, args),
        Command::Status(args) => status::status(pipeline, args),
        Command::Graph(args) => graph::graph(pipeline, args),
        Command::Cat(args) => cat::cat(pipeline, args),
        Command::Runs(args) => runs::runs(pipeline, args),
        Command::Show(args) => show::show(pipeline, args),
        Command::Log(args) => log::log(pipeline, args),
        Command::Diff(args) => diff::diff(pipeline, args),
        Command::Fit(args) => fit::fit(pipeline, args),
        Command::Verify(args) => verify::verify(pipeline, args),
        Command::Gc(args) => gc::gc(pipeline, args),
        Command::Du(args) => du::du(pipeline, args),
        Command::Report => report::report(pipeline),
        Command::Update(args) => update::update(pipeline, args),
        Command::Schema => {
            print(&crate::schema::text())?;
            Ok(0)
        }
        Command::Init => init::init(pipeline),
        Command::Completions(args) => completions(args.shell),
        Command::Man => man(),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cpipe", &mut script);
    print_bytes(&script)?;
    Ok(0)
}

/// The man page, with a section for every subcommand.
fn man() -> Result<u8, CliError> {
    let mut page = Vec::new();
    let failed = |e: std::io::Error| {
        let message = format!("cannot write the man page: {e}");
        CliError::new(crate::error::Kind::Cache, &message, None)
    };
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(failed)?;
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        clap_mangen::Man::new(sub.clone())
            .render(&mut page)
            .map_err(failed)?;
    }
    print_bytes(&page)?;
    Ok(0)
}

/// A size as people read it.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
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
