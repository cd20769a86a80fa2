use std::path::Path;

use cpipe_analysis::table;
use cpipe_engine::EngineError;
use cpipe_engine::manifest::Manifest;
use cpipe_engine::stage::OutputKind;

use crate::cli::{CatArgs, PipelineArgs, TableFormat};
use crate::error::{CliError, Kind};
use crate::session::Session;

pub(crate) fn cat(pipeline: &PipelineArgs, args: &CatArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let (node, output) = args.artifact.rsplit_once(':').ok_or_else(|| {
        let message = format!("`{}` is not NODE:OUTPUT", args.artifact);
        CliError::new(
            Kind::Usage,
            &message,
            Some("for example `cpipe cat fit:fits.json`"),
        )
    })?;
    let index = session.single(node)?;
    let manifest = session.manifest(index)?;
    let path = blob_path(&session, &manifest, node, output)?;
    if args.format.is_some() && !output.ends_with(".parquet") {
        let message = format!("`{output}` is not a Parquet table");
        let hint = "leave out --format to get it as it is";
        return Err(CliError::new(Kind::Usage, &message, Some(hint)));
    }
    write_out(&path, output, args.format)?;
    Ok(0)
}

pub(super) fn blob_path(
    session: &Session,
    manifest: &Manifest,
    node: &str,
    output: &str,
) -> Result<std::path::PathBuf, CliError> {
    let blobs = &session.cache.blobs;
    let unreadable = |error: EngineError| {
        let message = format!("{node}:{output} cannot be read: {error}");
        let hint = format!(
            "`{} --force '{node}'` makes it again",
            session.command("run")
        );
        CliError::new(Kind::Cache, &message, Some(&hint))
    };
    if let Some(artifact) = manifest.outputs.get(output) {
        return blobs.verified(artifact.digest).map_err(unreadable);
    }
    for (at, _) in output.match_indices('/') {
        if let Some(artifact) = manifest.outputs.get(&output[..at])
            && artifact.kind == OutputKind::Dir
            && let Some(digest) = blobs
                .listing(artifact.digest)
                .map_err(unreadable)?
                .files()
                .get(&output[at + 1..])
        {
            return blobs.verified(**digest).map_err(unreadable);
        }
    }
    let known: Vec<&str> = manifest.outputs.keys().map(String::as_str).collect();
    let message = format!("{node} has no output `{output}`");
    let hint = format!("its outputs are {}", known.join(", "));
    Err(CliError::new(Kind::Usage, &message, Some(&hint)))
}

fn write_out(path: &Path, output: &str, format: Option<TableFormat>) -> Result<(), CliError> {
    let failed = |message: String| CliError::new(Kind::Cache, &message, None);
    let mut bytes = Vec::new();
    match format {
        None | Some(TableFormat::Parquet) => {
            bytes =
                std::fs::read(path).map_err(|e| failed(format!("cannot read {output}: {e}")))?;
        }
        Some(format) => {
            let format = match format {
                TableFormat::Json => table::TableFormat::Json,
                _ => table::TableFormat::Csv,
            };
            table::convert(path, format, &mut bytes)
                .map_err(|e| failed(format!("{output} is not a Parquet table: {e}")))?;
        }
    }
    super::print_bytes(&bytes)
}
