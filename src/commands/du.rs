use std::fmt::Write;

use cpipe_engine::cache;
use serde_json::json;

use crate::cli::{DuArgs, PipelineArgs};
use crate::error::CliError;
use crate::session::open_cache;

pub(crate) fn du(pipeline: &PipelineArgs, args: &DuArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let stages = cache::usage(&cache)?;
    let mut text = String::new();
    if !args.json {
        text.push_str("stage             results        size     alone\n");
    }
    for (stage, usage) in &stages {
        let line = if args.json {
            json!({"stage": stage, "results": usage.results, "bytes": usage.bytes, "own_bytes": usage.own_bytes})
                .to_string()
        } else {
            let (bytes, own) = (
                super::megabytes(usage.bytes),
                super::megabytes(usage.own_bytes),
            );
            format!("{stage:<16} {:>8} {bytes:>11} {own:>9}", usage.results)
        };
        writeln!(text, "{line}").expect("writing to a string does not fail");
    }
    super::print(&text)?;
    Ok(0)
}
