use std::path::Path;

use cpipe_analysis::table;
use cpipe_engine::manifest::Manifest;
use cpipe_engine::plan::{self, Resolution, Workspace};
use petgraph::graph::NodeIndex;

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
    let index = single_node(&session, node)?;
    let workspace = session.workspace();
    let manifest = manifest_of(&workspace, index, node)?;
    let path = blob_path(&workspace, &manifest, node, output)?;
    write_out(&path, output, args.format)?;
    Ok(0)
}

pub(super) fn single_node(session: &Session, selector: &str) -> Result<NodeIndex, CliError> {
    match session.select(&[selector.to_owned()])?.as_slice() {
        [index] => Ok(*index),
        several => {
            let message = format!("`{selector}` is {} nodes, expected one", several.len());
            let first = session.pipeline.graph.dag[several[0]].label();
            let hint = format!("name one of them, such as `{first}`");
            Err(CliError::new(Kind::Usage, &message, Some(&hint)))
        }
    }
}

/// The manifest of a node, found without running anything.
pub(super) fn manifest_of(
    workspace: &Workspace<'_>,
    index: NodeIndex,
    node: &str,
) -> Result<Manifest, CliError> {
    let mut known = vec![None; workspace.graph.dag.node_count()];
    for up in workspace.graph.ancestors(&[index]) {
        match plan::unmade_input(workspace, up, &known) {
            None => {
                if let Resolution::Hit(_, manifest) = workspace.resolve(up, &known)? {
                    known[up.index()] = Some(manifest);
                }
            }
            Some(_) => break,
        }
    }
    known[index.index()].take().ok_or_else(|| {
        let message = format!("{node} is not up to date, so its outputs are not known");
        let hint = format!("`cpipe run '{node}'` makes them");
        CliError::new(Kind::Usage, &message, Some(&hint))
    })
}

pub(super) fn blob_path(
    workspace: &Workspace<'_>,
    manifest: &Manifest,
    node: &str,
    output: &str,
) -> Result<std::path::PathBuf, CliError> {
    let blobs = &workspace.cache.blobs;
    if let Some(artifact) = manifest.outputs.get(output) {
        return Ok(blobs.verified(artifact.digest)?);
    }
    if let Some((folder, file)) = output.split_once('/')
        && let Some(artifact) = manifest.outputs.get(folder)
        && let Some(digest) = blobs.listing(artifact.digest)?.0.get(file)
    {
        return Ok(blobs.verified(*digest)?);
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
