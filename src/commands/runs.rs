use std::fmt::Write;

use cpipe_engine::Cache;
use cpipe_engine::places::Places;
use cpipe_engine::records::{self, RunInfo, RunRecord, RunState};

use crate::cli::{PipelineArgs, RunsArgs};
use crate::error::{CliError, Kind};
use crate::options::{quoted, set_words};
use crate::session::{NO_PROFILE, open_cache};

pub(crate) fn runs(pipeline: &PipelineArgs, args: &RunsArgs) -> Result<u8, CliError> {
    let cache = open_cache(pipeline)?;
    let all = records::runs(&cache)?;
    let mut text = String::new();
    if !args.json {
        text.push_str(
            "run                   state        executed  cached  failed   seconds  pipeline\n",
        );
    }
    for run in &all[all.len().saturating_sub(args.last)..] {
        let line = if args.json {
            serde_json::to_string(run).expect("a record is plain data")
        } else {
            row(run, &cache, pipeline)
        };
        writeln!(text, "{line}").expect("writing to a string does not fail");
    }
    super::print(&text)?;
    Ok(0)
}

fn row(run: &RunRecord, cache: &Cache, pipeline: &PipelineArgs) -> String {
    let name = run.info.name.as_deref().unwrap_or_default();
    let row = format!(
        "{:<21} {:<12} {:>8} {:>7} {:>7} {:>9.2}  {}  {name}",
        run.id,
        word(run.state),
        run.executed,
        run.cached,
        run.failed,
        run.seconds,
        asked(&run.info, cache, pipeline),
    );
    row.trim_end().to_owned()
}

/// What was run: the pipeline file, its profile and what was set.
pub(super) fn asked(info: &RunInfo, cache: &Cache, pipeline: &PipelineArgs) -> String {
    let own = Places::of_cache(cache.root()).name(&pipeline.file);
    let mut words = vec![match info.file.as_str() {
        "" => "a pipeline file that is not on record".to_owned(),
        file if file == own => quoted(&pipeline.file.display().to_string()),
        // A file outside the folder of the cache is on record as its hash.
        file => match file.strip_prefix("blake3:") {
            Some(hex) => format!("a pipeline file elsewhere ({})", &hex[..hex.len().min(8)]),
            None => quoted(file),
        },
    }];
    if info.profile != NO_PROFILE {
        words.extend(["--profile".to_owned(), quoted(&info.profile)]);
    }
    words.extend(set_words(&info.overrides));
    words.join(" ")
}

/// The state as it is shown; a record that still says running is one of a run that was killed, or
/// of one that is under way.
pub(super) fn word(state: RunState) -> &'static str {
    match state {
        RunState::Running => "unfinished",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::Interrupted => "interrupted",
    }
}

/// The run that `text` names: an id, a name, `latest` or `latest~N`. None if it names none.
pub(super) fn find(cache: &Cache, text: &str) -> Result<Option<RunRecord>, CliError> {
    let mut all = records::runs(cache)?;
    if let Some(rest) = text.strip_prefix("latest") {
        let back = match rest.strip_prefix('~') {
            Some(number) => number.parse().unwrap_or(usize::MAX),
            None if rest.is_empty() => 0,
            None => usize::MAX,
        };
        return Ok(all.into_iter().rev().nth(back));
    }
    all.reverse();
    let named = |run: &RunRecord| run.id == text || run.info.name.as_deref() == Some(text);
    Ok(all.into_iter().find(named))
}

/// The run that `text` names.
pub(super) fn require(cache: &Cache, text: &str) -> Result<RunRecord, CliError> {
    find(cache, text)?.ok_or_else(|| {
        let message = format!("there is no run `{text}`");
        CliError::new(Kind::Usage, &message, Some("`cpipe runs` lists them"))
    })
}
