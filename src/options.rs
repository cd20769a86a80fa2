//! What a run is asked to do, from arguments and from what this machine has.

use std::collections::BTreeMap;
use std::num::NonZero;

use cpipe_engine::records::RunInfo;
use cpipe_engine::run::RunOptions;

use crate::cli::{PipelineArgs, RunArgs, Selection};
use crate::error::CliError;
use crate::secrets::masked;
use crate::session::Session;

/// The options of `cpipe run`.
pub(crate) fn run_options(
    session: &Session,
    pipeline: &PipelineArgs,
    args: &RunArgs,
) -> Result<RunOptions, CliError> {
    let mut options = plan_options(session, &args.selection)?;
    options.jobs = args.jobs.map_or_else(cores, usize::from);
    options.trace = args.trace;
    let sets = pipeline.sets.iter();
    let sets = sets.map(|(name, value)| (name.clone(), masked(value)));
    options.info = RunInfo {
        name: args.name.clone(),
        profile: session.profile(),
        overrides: sets.collect(),
        arguments: std::env::args().skip(1).map(|a| masked(&a)).collect(),
        device: pipeline.device.class().name().to_owned(),
    };
    Ok(options)
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
