//! What a run is asked to do, from arguments and from what this machine has.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;

use cpipe_engine::records::RunInfo;
use cpipe_engine::run::RunOptions;

use crate::cli::{PipelineArgs, RunArgs, Selection};
use crate::error::CliError;
use crate::secrets::masked;
use crate::session::Session;

/// The pipeline file where none is named.
pub(crate) const PIPELINE_FILE: &str = "pipeline.yaml";

/// The options of `cpipe run`.
pub(crate) fn run_options(
    session: &Session,
    pipeline: &PipelineArgs,
    args: &RunArgs,
) -> Result<RunOptions, CliError> {
    let mut options = plan_options(session, &args.selection)?;
    options.jobs = args.jobs.map_or_else(cores, usize::from);
    options.trace = args.trace;
    options.info = RunInfo {
        name: args.name.clone(),
        arguments: std::env::args().skip(1).map(|a| masked(&a)).collect(),
        device: pipeline.device.class().name().to_owned(),
        ..session.asked()
    };
    Ok(options)
}

/// A command on the same pipeline, to be pasted into a shell.
pub(crate) fn command(args: &PipelineArgs, name: &str) -> String {
    let words = ["cpipe".to_owned(), name.to_owned()].into_iter();
    words
        .chain(pipeline_words(args))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The options that say which pipeline is meant, as they have to be typed again.
fn pipeline_words(args: &PipelineArgs) -> Vec<String> {
    let mut words = Vec::new();
    if args.file != Path::new(PIPELINE_FILE) {
        words.extend(["--file".to_owned(), quoted(&args.file.to_string_lossy())]);
    }
    if let Some(profile) = &args.profile {
        words.extend(["--profile".to_owned(), quoted(profile)]);
    }
    words.extend(set_words(&args.sets));
    // The variable is there the next time, too.
    let cache = args.cache.as_ref();
    if let Some(cache) = cache.filter(|_| std::env::var_os("CPIPE_CACHE").is_none()) {
        words.extend(["--cache".to_owned(), quoted(&cache.to_string_lossy())]);
    }
    words
}

/// `--set` as it is typed for the shell.
pub(crate) fn set_words(sets: &[(String, String)]) -> Vec<String> {
    let word = |(key, value): &(String, String)| quoted(&masked(&format!("{key}={value}")));
    let words = sets.iter().flat_map(|set| ["--set".to_owned(), word(set)]);
    words.collect()
}

/// A word for the shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The options that decide what would be done.
pub(crate) fn plan_options(
    session: &Session,
    selection: &Selection,
) -> Result<RunOptions, CliError> {
    Ok(RunOptions {
        jobs: cores(),
        only: !selection.only.is_empty(),
        force: session.forced(selection)?,
        pools: pools(&session.pipeline.pools),
        command: session.command("run"),
        ..RunOptions::default()
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Capacities: what the file declares, and what this machine has.
fn pools(declared: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut pools = BTreeMap::from([("mem".to_owned(), memory()), ("gpus".to_owned(), gpus())]);
    pools.extend(declared.iter().map(|(name, n)| (name.clone(), *n)));
    pools
}

/// Bytes of memory; as much as anyone asks for where the system does not say.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib * 1024)
}

/// NVIDIA cards that may be used.
fn gpus() -> u64 {
    if let Ok(visible) = std::env::var("CUDA_VISIBLE_DEVICES") {
        return visible
            .split(',')
            .filter(|id| !id.trim().is_empty())
            .count() as u64;
    }
    (0..64)
        .take_while(|number| std::path::Path::new(&format!("/dev/nvidia{number}")).exists())
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell_where_they_have_to_be() {
        assert_eq!(quoted("chunks=64"), "chunks=64");
        assert_eq!(quoted("laws=[a, b]"), "'laws=[a, b]'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
