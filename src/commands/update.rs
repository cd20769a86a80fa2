use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cpipe_engine::EngineError;
use cpipe_engine::digest::{Algorithm, Pin};
use cpipe_engine::lock::{Locked, LockedFile};
use cpipe_engine::seen::is_gone;
use cpipe_engine::spec::{Location, SourceEntry};

use crate::cli::{PipelineArgs, UpdateArgs};
use crate::error::{CliError, Kind};
use crate::options::quoted;
use crate::pins;
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
    let follow = update_local(&session, &local, args, &mut text)?;
    for (name, entry) in remote {
        if matches!(entry.location, Location::Hub(_)) || args.sources.contains(name) {
            update_remote(&session, name, entry, &mut text)?;
        }
    }
    session.stats.save()?;
    if text.is_empty() && follow.is_empty() {
        text.push_str("everything is as declared and locked\n");
    } else if text.is_empty() && follow.len() < session.pipeline.sources.len() {
        text.push_str("every source with a digest is as declared and locked\n");
    }
    text.push_str(&describe_following(&session, &follow));
    super::print(&text)?;
    Ok(0)
}

/// A source that is gone has no other digest: by its name that is an error, else it is said.
fn say_gone(name: &str, path: &Path, fate: &str, args: &UpdateArgs) -> Result<String, CliError> {
    let gone = format!("it is gone from {}, and {fate}", path.display());
    if args.sources.iter().any(|asked| asked == name) {
        let message = format!("source `{name}`: {gone}");
        let hint = "put it back, or correct its path";
        return Err(CliError::new(Kind::Spec, &message, Some(hint)));
    }
    Ok(format!("{name}: {gone}\n"))
}

fn unreadable(name: &str, error: &EngineError) -> CliError {
    let message = format!("source `{name}` has no digest: {error}");
    let hint = "put it back, correct its path, or name the sources to update";
    CliError::new(Kind::Spec, &message, Some(hint))
}

/// Returns the sources without a digest that nobody asked for by name.
fn update_local<'s>(
    session: &Session,
    chosen: &[(&'s String, &SourceEntry)],
    args: &UpdateArgs,
    text: &mut String,
) -> Result<Vec<&'s String>, CliError> {
    let mut wanted = BTreeMap::new();
    let mut follow = Vec::new();
    for (name, entry) in chosen {
        let Some(path) = entry.path() else { continue };
        match &entry.pin {
            Some(_) if is_gone(path) => {
                text.push_str(&say_gone(name, path, "it stays as declared", args)?);
            }
            Some(pin) => {
                let digest = session.stats.digest(path, pin.algorithm);
                let found = digest.map_err(|error| unreadable(name, &error))?;
                if found != *pin {
                    writeln!(text, "{name}: {pin} → {found}")
                        .expect("writing to a string does not fail");
                    wanted.insert((*name).clone(), found);
                }
            }
            None if args.pin => match to_pin(session, name, path)? {
                Some(found) => {
                    writeln!(text, "{name}: pinned, {found}")
                        .expect("writing to a string does not fail");
                    wanted.insert((*name).clone(), found);
                }
                None => text.push_str(&say_gone(name, path, "no run has seen it", args)?),
            },
            None if args.sources.contains(name) => {
                text.push_str(&unpinned(session, name, path)?);
            }
            None => follow.push(*name),
        }
    }
    pins::declare(session, &wanted)?;
    Ok(follow)
}

/// What a source is; once it is gone, what it was, if a run has seen it.
fn to_pin(session: &Session, name: &str, path: &Path) -> Result<Option<Pin>, CliError> {
    // Behind the digest a text may say more of what entered the key.
    let last = || {
        let text = session.workspace().last_seen(path)?;
        text.split(' ').next()?.parse().ok()
    };
    if is_gone(path) {
        return Ok(last());
    }
    let digest = session.stats.digest(path, Algorithm::Blake3);
    let found = digest.map_err(|error| unreadable(name, &error))?;
    Ok(Some(found))
}

/// Which sources have no digest, and what gives them one.
fn describe_following(session: &Session, names: &[&String]) -> String {
    let command = session.command("update");
    let list: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let list = list.join(", ");
    match names.len() {
        0 => String::new(),
        1 => format!(
            "1 source has no digest and follows its content: {list}; `{command} --pin` pins it\n"
        ),
        n => format!(
            "{n} sources have no digest and follow their content: {list}; `{command} --pin` pins them\n"
        ),
    }
}

/// How to pin a source that follows its content.
fn unpinned(session: &Session, name: &str, path: &Path) -> Result<String, CliError> {
    let digest = session.stats.digest(path, Algorithm::Blake3);
    let found = digest.map_err(|error| unreadable(name, &error))?;
    Ok(format!(
        "{name}: not pinned, it follows its content; `{} --pin {}` writes `blake3: {}` beside its path\n",
        session.command("update"),
        quoted(name),
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
