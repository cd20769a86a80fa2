use cpipe_engine::cache;
use cpipe_engine::plan::Latest;

use crate::cli::{GcArgs, PipelineArgs};
use crate::error::CliError;
use crate::session::open_cache;

/// Keeps the last result of every node of every profile.
pub(crate) fn gc(pipeline: &PipelineArgs, args: &GcArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let report = cache::collect_garbage(&cache, &Latest::all(&cache), args.dry_run)?;
    super::print(&format!(
        "{}: {} results and {} blobs, {:.1} MB; {:.1} MB stay\n",
        if args.dry_run { "would free" } else { "freed" },
        report.actions,
        report.blobs,
        report.bytes as f64 / 1e6,
        report.kept_bytes as f64 / 1e6,
    ))?;
    Ok(0)
}
