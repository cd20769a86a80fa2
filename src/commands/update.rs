use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cpipe_engine::EngineError;
use cpipe_engine::digest::{Algorithm, Pin};
use cpipe_engine::lock::{Locked, LockedFile};
use cpipe_engine::spec::{Location, SourceEntry};

use crate::cli::{PipelineArgs, UpdateArgs};
use crate::error::{CliError, Kind};
use crate::session::Session;
use crate::sources;

/// Writes what has changed where it stands: digests of local sources into the pipeline file, what
/// remote ones are now into cpipe.lock.
pub(crate) fn update(pipeline: &PipelineArgs, args: &UpdateArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let chosen = chosen(&session, &args.sources)?;
    let mut text = String::new();
    let (local, remote): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|(_, e)| e.path().is_some());
    update_local(&session, &local, &args.sources, &mut text)?;
    for (name, entry) in remote {
        if matches!(entry.location, Location::Hub(_)) || args.sources.contains(name) {
            update_remote(&session, name, entry, &mut text)?;
        }
    }
    session.stats.save()?;
    if text.is_empty() {
        "everything is as declared and locked\n".clone_into(&mut text);
    }
    super::print(&text)?;
    Ok(0)
}

fn unreadable(name: &str, error: &EngineError) -> CliError {
    let message = format!("source `{name}` has no digest: {error}");
    let hint = "put it back, correct its path, or name the sources to update";
    CliError::new(Kind::Spec, &message, Some(hint))
}

fn update_local(
    session: &Session,
    chosen: &[(&String, &SourceEntry)],
    asked: &[String],
    text: &mut String,
) -> Result<(), CliError> {
    let mut edits = Vec::new();
    for (name, entry) in chosen {
        let Some(path) = entry.path() else { continue };
        let (Some(pin), Some(span)) = (&entry.pin, &entry.pin_span) else {
            if asked.contains(name) {
                text.push_str(&unpinned(session, name, path)?);
            }
            continue;
        };
        let digest = session.stats.digest(path, pin.algorithm);
        let found = digest.map_err(|error| unreadable(name, &error))?;
        if found != *pin {
            writeln!(text, "{name}: {pin} → {found}").expect("writing to a string does not fail");
            edits.push((span.clone(), pin.clone(), found));
        }
    }
    write_edits(session, edits)
}

/// How to pin a source that follows its content.
fn unpinned(session: &Session, name: &str, path: &Path) -> Result<String, CliError> {
    let digest = session.stats.digest(path, Algorithm::Blake3);
    let found = digest.map_err(|error| unreadable(name, &error))?;
    Ok(format!(
        "{name}: not pinned, it follows its content; `blake3: {}` beside its path would pin it\n",
        found.hex
    ))
}

fn update_remote(
    session: &Session,
    name: &str,
    entry: &SourceEntry,
    text: &mut String,
) -> Result<(), CliError> {
    let found = sources::look_up(session, name, entry, &AtomicBool::new(false))
        .map_err(|error| sources::refused(session, name, &error))?;
    let change = difference(entry.locked.as_ref(), &found);
    if change.is_empty() {
        return Ok(());
    }
    text.extend([name, ":\n", &change]);
    sources::record(session, found)
}

/// A line per value that differs; nothing if only the day does.
fn difference(old: Option<&Locked>, new: &Locked) -> String {
    let mut text = String::new();
    let mut line = |what: &str, old: Option<String>, new: Option<String>| {
        if old != new {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "nothing".into());
            writeln!(text, "  {what}: {} → {}", shown(old), shown(new))
                .expect("writing to a string does not fail");
        }
    };
    line(
        "commit",
        old.and_then(|l| l.commit.clone()),
        new.commit.clone(),
    );
    line(
        "served",
        old.and_then(|l| l.served.clone()),
        new.served.clone(),
    );
    line(
        "digest",
        old.map(|l| l.digest.to_string()),
        Some(new.digest.to_string()),
    );
    line(
        "bytes",
        old.map(|l| l.size.to_string()),
        Some(new.size.to_string()),
    );
    let names: BTreeSet<&String> = old
        .into_iter()
        .chain([new])
        .flat_map(|l| l.files.keys())
        .collect();
    let file = |locked: Option<&Locked>, name: &str| {
        let file: &LockedFile = locked?.files.get(name)?;
        Some(format!("{} bytes, sha256:{}", file.size, file.sha256))
    };
    for name in names {
        line(name, file(old, name), file(Some(new), name));
    }
    text
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
