use std::fs::File;
use std::io::{ErrorKind, Write};

use crate::cli::PipelineArgs;
use crate::error::{CliError, Kind};

/// A study without models, so that it runs anywhere.
const EXAMPLE: &str = include_str!("init.yaml");

/// Writes the example; never over a file that is there.
pub(crate) fn init(pipeline: &PipelineArgs) -> Result<u8, CliError> {
    let path = &pipeline.file;
    let write = || File::create_new(path)?.write_all(EXAMPLE.as_bytes());
    match write() {
        Ok(()) => {
            super::print(&format!("wrote {}; `cpipe run` runs it\n", path.display()))?;
            Ok(0)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let message = format!("{} is there already", path.display());
            let hint = "name another file with --file";
            Err(CliError::new(Kind::Usage, &message, Some(hint)))
        }
        Err(e) => Err(cpipe_engine::EngineError::io("write", path, e).into()),
    }
}
