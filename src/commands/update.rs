use cpipe_engine::EngineError;
use cpipe_engine::digest::Pin;
use cpipe_engine::spec::SourceEntry;

use crate::cli::{PipelineArgs, UpdateArgs};
use crate::error::{CliError, Kind};
use crate::session::Session;

/// Writes the digests of changed sources into the pipeline file, where the old ones stand.
pub(crate) fn update(pipeline: &PipelineArgs, args: &UpdateArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let mut edits = Vec::new();
    let mut text = String::new();
    for (name, entry) in chosen(&session, &args.sources)? {
        let (Some(pin), Some(span)) = (&entry.pin, &entry.pin_span) else {
            continue;
        };
        let digest = session.stats.digest(&entry.path, pin.algorithm);
        let found = digest.map_err(|error| unreadable(name, &error))?;
        if found != *pin {
            text += &[
                name,
                ": ",
                &pin.to_string(),
                " → ",
                &found.to_string(),
                "\n",
            ]
            .concat();
            edits.push((span.clone(), pin.clone(), found));
        }
    }
    write_edits(&session, edits)?;
    session.stats.save()?;
    if text.is_empty() {
        "every digest is as declared\n".clone_into(&mut text);
    }
    super::print(&text)?;
    Ok(0)
}

fn unreadable(name: &str, error: &EngineError) -> CliError {
    let message = format!("source `{name}` has no digest: {error}");
    let hint = "put it back, correct its path, or name the sources to update";
    CliError::new(Kind::Spec, &message, Some(hint))
}

fn chosen<'s>(
    session: &'s Session,
    names: &[String],
) -> Result<Vec<(&'s String, &'s SourceEntry)>, CliError> {
    let sources = &session.pipeline.sources;
    if let Some(unknown) = names.iter().find(|name| !sources.contains_key(*name)) {
        let known: Vec<&str> = sources.keys().map(String::as_str).collect();
        let hint = format!("the sources are {}", known.join(", "));
        let message = format!("there is no source `{unknown}`");
        return Err(CliError::new(Kind::Usage, &message, Some(&hint)));
    }
    let wanted = |name: &&String| names.is_empty() || names.contains(name);
    Ok(sources.iter().filter(|(name, _)| wanted(name)).collect())
}

/// Replaces digests from the end of the file backwards, so that earlier positions stay right.
fn write_edits(
    session: &Session,
    mut edits: Vec<(std::ops::Range<usize>, Pin, Pin)>,
) -> Result<(), CliError> {
    if edits.is_empty() {
        return Ok(());
    }
    edits.sort_by_key(|(span, ..)| std::cmp::Reverse(span.start));
    let mut text = session.text.clone();
    for (span, old, new) in edits {
        let replaced = text[span.clone()].replace(&old.hex, &new.hex);
        text.replace_range(span, &replaced);
    }
    cpipe_engine::cache::write_atomically(&session.path, text.as_bytes())?;
    Ok(())
}
