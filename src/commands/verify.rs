use std::fmt::Write;

use cpipe_engine::cache;

use crate::cli::{PipelineArgs, VerifyArgs};
use crate::error::{CliError, Kind};
use crate::session::open_cache;

pub(crate) fn verify(pipeline: &PipelineArgs, args: &VerifyArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let report = cache::verify(&cache, args.repair)?;
    let mut text = String::new();
    let removed = if args.repair { ", removed" } else { "" };
    for damage in &report.damaged {
        let users = match damage.used_by.as_slice() {
            [] => "no result on record".to_owned(),
            users => users.join(", "),
        };
        writeln!(
            text,
            "damaged{removed}: {} ({users})",
            damage.path.display()
        )
        .expect("writing to a string does not fail");
    }
    for path in &report.unreadable {
        writeln!(text, "damaged{removed}: {}", path.display())
            .expect("writing to a string does not fail");
    }
    for output in &report.incomplete {
        writeln!(text, "incomplete: {output} is made again when it is needed")
            .expect("writing to a string does not fail");
    }
    writeln!(
        text,
        "{} blobs ({:.1} MB) and {} manifests checked, {} damaged",
        report.blobs,
        report.bytes as f64 / 1e6,
        report.manifests,
        report.damaged.len() + report.unreadable.len(),
    )
    .expect("writing to a string does not fail");
    super::print(&text)?;
    let clean = report.is_clean() || args.repair;
    Ok(if clean { 0 } else { Kind::Cache.exit_code() })
}
