use std::path::Path;

use crate::cli::PipelineArgs;
use crate::error::CliError;
use crate::report;
use crate::session::Session;

pub(crate) fn report(pipeline: &PipelineArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let path = report::write(&session)?;
    session.stats.save()?;
    tell(&session, &path);
    Ok(0)
}

/// Says where the report lies, seen from the pipeline's folder.
#[expect(clippy::print_stderr, reason = "talk, not data")]
pub(super) fn tell(session: &Session, path: &Path) {
    let root = &session.pipeline.root;
    let path = path.strip_prefix(root).unwrap_or(path);
    eprintln!("report in {}", path.display());
}
