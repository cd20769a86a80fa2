use std::fmt::Write;
use std::time::{Duration, SystemTime};

use cpipe_corpus::Cleared;
use cpipe_engine::cache::{self, GcOptions};

use crate::cli::{GcArgs, PipelineArgs};
use crate::error::{CliError, Kind};
use crate::session::open_cache;

/// Most results dropped for the size budget that are named.
const SHOWN: usize = 20;

pub(crate) fn gc(pipeline: &PipelineArgs, args: &GcArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let options = GcOptions {
        keep_runs: args.keep_runs,
        budget: args.max_size,
        dry_run: args.dry_run,
    };
    let report = cache::collect_garbage(&cache, &options)?;
    // What lies in wait since before every kept run began, none of them needed.
    let cleared = match report.since {
        Some(since) => {
            let since = SystemTime::UNIX_EPOCH + Duration::from_secs(since);
            cpipe_corpus::clear_downloads(&cache.downloads(), since, args.dry_run)
                .map_err(|error| CliError::new(Kind::Cache, &error.to_string(), None))?
        }
        None => Cleared::default(),
    };
    let mut text = String::new();
    for (output, bytes) in report.dropped.iter().take(SHOWN) {
        writeln!(
            text,
            "over the budget: {output}, {}",
            super::megabytes(*bytes)
        )
        .expect("writing to a string does not fail");
    }
    if report.dropped.len() > SHOWN {
        writeln!(
            text,
            "over the budget: {} more",
            report.dropped.len() - SHOWN
        )
        .expect("writing to a string does not fail");
    }
    if cleared.count > 0 {
        writeln!(
            text,
            "abandoned downloads: {}, {}",
            cleared.count,
            super::megabytes(cleared.bytes)
        )
        .expect("writing to a string does not fail");
    }
    writeln!(
        text,
        "{}: {} results and {} blobs, {}; {} stay",
        if args.dry_run { "would free" } else { "freed" },
        report.actions,
        report.blobs,
        super::megabytes(report.bytes),
        super::megabytes(report.kept_bytes),
    )
    .expect("writing to a string does not fail");
    super::print(&text)?;
    Ok(0)
}
