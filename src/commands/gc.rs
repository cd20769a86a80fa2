//! `cpipe gc`: what is freed, and in plain words why.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cpipe_corpus::Cleared;
use cpipe_engine::Cache;
use cpipe_engine::cache::{self, DEAR, GcOptions, GcReport};

use crate::cli::{GcArgs, PipelineArgs};
use crate::error::{CliError, Kind};
use crate::session::open_cache;

/// Most results dropped for the size budget, and most runs, that are named.
const SHOWN: usize = 20;

/// Removes what no kept run needs, and says what that was.
pub(crate) fn gc(pipeline: &PipelineArgs, args: &GcArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let options = GcOptions {
        keep_runs: args.keep_runs,
        keep_sets: !args.no_sets,
        budget: args.max_size,
        dear: DEAR,
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
    let mut lines = Vec::new();
    if args.dry_run {
        lines.extend(reasons(&report, &cache, pipeline));
    }
    lines.extend(dropped(&report));
    if cleared.count > 0 {
        let bytes = super::megabytes(cleared.bytes);
        lines.push(format!("abandoned downloads: {}, {bytes}", cleared.count));
    }
    lines.push(format!(
        "{}: {} and {} blobs, {}; {} stay",
        if args.dry_run { "would free" } else { "freed" },
        results(report.actions),
        report.blobs,
        super::megabytes(report.bytes),
        super::megabytes(report.kept_bytes),
    ));
    super::print(&(lines.join("\n") + "\n"))?;
    Ok(0)
}

/// What stays and what goes, and why.
fn reasons(report: &GcReport, cache: &Cache, pipeline: &PipelineArgs) -> Vec<String> {
    let mut lines = vec![match report.runs.len() {
        0 => "no run is on record".to_owned(),
        _ => "these runs keep their results:".to_owned(),
    }];
    for kept in report.runs.iter().take(SHOWN) {
        let run = super::runs::asked(&kept.run.info, cache, pipeline);
        lines.push(format!(
            "  {} of {run}, {}",
            kept.run.id,
            results(kept.results)
        ));
    }
    if report.runs.len() > SHOWN {
        lines.push(format!("  and {} more", report.runs.len() - SHOWN));
    }
    if !report.dear.is_empty() {
        lines.push(format!(
            "results of other runs that took at least {DEAR} s for each MB stay: {}",
            by_stage(&report.dear)
        ));
    }
    if report.on_record > 0 {
        lines.push(format!(
            "{} that those were made from: the record stays, the bytes go",
            results(report.on_record)
        ));
    }
    if !report.removed.is_empty() {
        lines.push(format!(
            "no run that stays needs these results, and they are cheap to make again: {}",
            by_stage(&report.removed)
        ));
    }
    lines
}

fn results(count: usize) -> String {
    match count {
        1 => "1 result".to_owned(),
        count => format!("{count} results"),
    }
}

/// `score 70, fit 1`.
fn by_stage(counts: &BTreeMap<String, usize>) -> String {
    let counts = counts
        .iter()
        .map(|(stage, count)| format!("{stage} {count}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// What goes because of the size budget.
fn dropped(report: &GcReport) -> Vec<String> {
    let shown = report.dropped.iter().take(SHOWN);
    let mut lines: Vec<String> = shown
        .map(|dropped| {
            let bytes = super::megabytes(dropped.bytes);
            let warning = if dropped.is_copy {
                " (made from its source alone: only that can bring it back)"
            } else {
                ""
            };
            format!("over the budget: {}, {bytes}{warning}", dropped.output)
        })
        .collect();
    if report.dropped.len() > SHOWN {
        let more = report.dropped.len() - SHOWN;
        lines.push(format!("over the budget: {more} more"));
    }
    lines
}
