use crate::cli::{LogArgs, PipelineArgs};
use crate::error::{CliError, Kind};
use crate::session::Session;
use cpipe_engine::plan;

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
        let hint = format!("`cpipe log '{up}'` may say why");
        return Err(CliError::new(Kind::Usage, &message, Some(&hint)));
    }
    let key = workspace.action(index, &known)?.key().to_string();
    let path = session.cache.log(&key);
    match std::fs::read(&path) {
        Ok(bytes) => super::print_bytes(&bytes)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(cpipe_engine::EngineError::io("read", &path, e).into()),
    }
    Ok(0)
}
