use std::io::ErrorKind;

use cpipe_engine::graph::Node;
use cpipe_engine::{command, plan};

use crate::cli::{LogArgs, PipelineArgs};
use crate::error::{CliError, Kind};
use crate::session::Session;

/// The log of the last attempt at what the node would be now.
pub(crate) fn log(pipeline: &PipelineArgs, args: &LogArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let index = session.single(&args.node)?;
    let workspace = session.workspace();
    let label = workspace.node(index).label();
    let known = plan::known(&workspace, &[index])?;
    if let Some(up) = plan::unmade_input(&workspace, index, &known) {
        let up = workspace.node(up).label();
        let message = format!("{label} needs {up}, which is not up to date");
        let hint = format!("`{} '{up}'` may say why", session.command("log"));
        return Err(CliError::new(Kind::Usage, &message, Some(&hint)));
    }
    let key = workspace.action(index, &known)?.key().to_string();
    let path = session.cache.log(&key);
    match std::fs::read(&path) {
        Ok(bytes) if !bytes.is_empty() => super::print_bytes(&bytes)?,
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(cpipe_engine::EngineError::io("read", &path, e).into());
        }
        _ => tell_of_silence(workspace.node(index)),
    }
    Ok(0)
}

/// Says why there is nothing to print.
#[expect(clippy::print_stderr, reason = "talk, not data")]
fn tell_of_silence(node: &Node) {
    let label = node.label();
    if node.work.id().name == command::KIND {
        eprintln!("{label}: its program has not run, or said nothing");
    } else {
        eprintln!("{label} is no program: what it has to say stands in the output of the run");
    }
}
