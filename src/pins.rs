//! Digests of local sources, written into the pipeline file where they belong.
//!
//! A line whose path has variables stands for several sources: it gets a digest for each path.
//! Nothing else of the file changes, and it is read again before it is written: an edit that would
//! not say what it should is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use cpipe_engine::cache::write_atomically;
use cpipe_engine::digest::Pin;
use cpipe_engine::regular;
use cpipe_engine::spec::{PinLine, SourceEntry, SpecError};

use crate::error::{CliError, Kind};
use crate::session::Session;

/// What stands for a digest that nobody has filled in.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A change of the text.
type Edit = (Range<usize>, String);

/// A line of the pipeline file with the sources that it stands for.
struct Line<'s> {
    text: &'s str,
    sources: Vec<(&'s String, &'s SourceEntry, &'s PinLine)>,
    wanted: &'s BTreeMap<String, Pin>,
}

/// Declares these digests, by the name of their source.
pub(crate) fn declare(session: &Session, wanted: &BTreeMap<String, Pin>) -> Result<(), CliError> {
    let mut edits = Vec::new();
    for line in lines(session, wanted) {
        edits.extend(line.edits());
    }
    if edits.is_empty() {
        return Ok(());
    }
    // From the end backwards, so that earlier positions stay right.
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = session.text.clone();
    for (span, new) in edits {
        text.replace_range(span, &new);
    }
    check(session, &text, wanted)?;
    replace(&session.path, &session.text, &text)
}

/// Writes the file anew, unless somebody has edited it since it was read: hashing takes a while.
fn replace(path: &Path, before: &str, after: &str) -> Result<(), CliError> {
    if regular::read(path)? != before.as_bytes() {
        let message = format!(
            "{} was changed while its sources were read, and nothing was written to it",
            path.display()
        );
        return Err(CliError::new(Kind::Spec, &message, Some("run it again")));
    }
    write_atomically(path, after.as_bytes())?;
    Ok(())
}

fn lines<'s>(session: &'s Session, wanted: &'s BTreeMap<String, Pin>) -> Vec<Line<'s>> {
    let mut lines: BTreeMap<usize, Line<'s>> = BTreeMap::new();
    for (name, entry) in &session.pipeline.sources {
        let Some(place) = &entry.line else { continue };
        let line = lines.entry(place.value.start).or_insert(Line {
            text: &session.text,
            sources: Vec::new(),
            wanted,
        });
        line.sources.push((name, entry, place));
    }
    let is_wanted = |line: &Line<'_>| {
        let mut names = line.sources.iter().map(|(name, ..)| *name);
        names.any(|name| wanted.contains_key(name))
    };
    lines.into_values().filter(is_wanted).collect()
}

impl Line<'_> {
    fn edits(&self) -> Vec<Edit> {
        let Some((_, first, place)) = self.sources.first() else {
            return Vec::new();
        };
        match (&place.digest_key, &place.last_of_several) {
            (Some(key), Some(last)) => self.among_several(key, last),
            (Some(_), None) => self.in_place(first.pin_span.as_ref()).into_iter().collect(),
            (None, _) => vec![self.beside_path(&first.span, place)],
        }
    }

    /// Path → the hexadecimal digits that it shall have.
    fn digests(&self) -> BTreeMap<&str, &str> {
        let mut digests = BTreeMap::new();
        for (name, entry, place) in &self.sources {
            let declared = entry.pin.as_ref().filter(|pin| pin.hex != ZEROS);
            if let Some(pin) = self.wanted.get(*name).or(declared) {
                digests.insert(place.path.as_str(), pin.hex.as_str());
            }
        }
        digests
    }

    /// Digests by path are there: some change, others are added after the last.
    fn among_several(&self, key: &Range<usize>, last: &Range<usize>) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut added = BTreeMap::new();
        for (name, entry, place) in &self.sources {
            match (self.wanted.get(*name), &entry.pin_span) {
                (Some(new), Some(span)) => {
                    edits.push((span.clone(), self.replaced(span, &new.hex)));
                }
                (Some(new), None) => {
                    added.insert(place.path.as_str(), new.hex.as_str());
                }
                (None, _) => {}
            }
        }
        // Two sources may share a path.
        edits.dedup();
        let is_flow = opens_flow(self.text, key.end);
        let own_line = line_start(self.text, key.start) != line_start(self.text, last.start);
        let indent = self.indent(last.start);
        let between = match (is_flow, own_line) {
            (true, false) => ", ".to_owned(),
            (true, true) => format!(",{}{indent}", newline(self.text)),
            (false, _) => format!("{}{indent}", newline(self.text)),
        };
        let mut text = String::new();
        for (path, hex) in added {
            text.extend([&between, &key_text(path), ": ", hex]);
        }
        if !text.is_empty() {
            let at = if is_flow {
                end_of(self.text, last)
            } else {
                line_end(self.text, last.end)
            };
            edits.push((at..at, text));
        }
        edits
    }

    fn replaced(&self, span: &Range<usize>, hex: &str) -> String {
        let old = &self.text[span.clone()];
        let quote = old.chars().next().filter(|c| matches!(c, '"' | '\''));
        let quote = quote.map(String::from).unwrap_or_default();
        format!("{quote}{hex}{quote}")
    }

    /// One digest is there: it changes, or gives way to one for each path.
    fn in_place(&self, span: Option<&Range<usize>>) -> Option<Edit> {
        let span = span?;
        let digests = self.digests();
        let different: BTreeSet<&&str> = digests.values().collect();
        if let (1, Some(hex)) = (different.len(), different.first()) {
            return Some((span.clone(), self.replaced(span, hex)));
        }
        let start = start_of(self.text, span);
        let indent = self.indent(span.start);
        Some((start..end_of(self.text, span), self.flow(&digests, &indent)))
    }

    /// There is no digest yet.
    fn beside_path(&self, source: &Range<usize>, place: &PinLine) -> Edit {
        let digests = self.digests();
        let is_flow = opens_flow(self.text, source.end);
        let nl = newline(self.text);
        let written = self.text[place.value.clone()].trim_matches(['"', '\'']);
        let one = digests.get(written).filter(|_| digests.len() == 1);
        if is_flow {
            let at = end_of(self.text, &place.value);
            let digest = match one {
                Some(hex) => (*hex).to_owned(),
                None => self.flow(&digests, &self.indent(place.key.start)),
            };
            return (at..at, format!(", blake3: {digest}"));
        }
        let at = line_end(self.text, place.value.end);
        let indent = self.indent(place.key.start);
        let mut text = format!("{nl}{indent}blake3:");
        if let Some(hex) = one {
            text.extend([" ", hex]);
        } else {
            for (path, hex) in &digests {
                text.extend([nl, &indent, "  ", &key_text(path), ": ", hex]);
            }
        }
        (at..at, text)
    }

    /// `{ path: digest, … }`, a line each.
    fn flow(&self, digests: &BTreeMap<&str, &str>, indent: &str) -> String {
        let nl = newline(self.text);
        let entries = digests.iter();
        let entries: Vec<String> = entries
            .map(|(path, hex)| format!("{nl}{indent}    {}: {hex}", key_text(path)))
            .collect();
        format!("{{{} }}", entries.join(","))
    }

    /// What the line of this place begins with.
    fn indent(&self, at: usize) -> String {
        let line = &self.text[line_start(self.text, at)..];
        line.chars().take_while(|c| *c == ' ').collect()
    }
}

/// Whether the value after a key that ends here is written in braces.
fn opens_flow(text: &str, key_end: usize) -> bool {
    let rest = text[key_end..].trim_start_matches(['"', '\'', ' ', '\t']);
    let mut rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    while rest.starts_with(['#', '&', '!']) {
        let is_comment = rest.starts_with('#');
        let is_end = |c: char| c == '\n' || (!is_comment && c.is_whitespace());
        rest = rest[rest.find(is_end).unwrap_or(rest.len())..].trim_start();
    }
    rest.starts_with('{')
}

/// Before a value, with the quote that it may stand in.
fn start_of(text: &str, span: &Range<usize>) -> usize {
    let is_quoted = text[..span.start].ends_with(['"', '\'']);
    span.start - usize::from(is_quoted)
}

/// Behind a value, with the quote that it may stand in.
fn end_of(text: &str, span: &Range<usize>) -> usize {
    let before = &text[..span.start];
    let quote = ['"', '\''].into_iter().find(|q| before.ends_with(*q));
    let is_quoted = quote.is_some_and(|quote| text[span.end..].starts_with(quote));
    span.end + usize::from(is_quoted)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    end - usize::from(text[..end].ends_with('\r') && end > at)
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// A path as a key of YAML.
fn key_text(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let begins = path.starts_with(|c: char| c.is_ascii_alphabetic() || c == '.');
    if begins && path.contains('/') && path.chars().all(plain) {
        return path.to_owned();
    }
    serde_json::to_string(path).expect("a text is plain data")
}

/// The new text must say what is wanted, and of all other sources what it said before.
fn check(session: &Session, text: &str, wanted: &BTreeMap<String, Pin>) -> Result<(), CliError> {
    let after = session.sources_of(text);
    for (name, entry) in &session.pipeline.sources {
        let expected = wanted.get(name).or(entry.pin.as_ref());
        let found = after.as_ref().and_then(|after| after.get(name));
        if found.and_then(|found| found.pin.as_ref()) == expected {
            continue;
        }
        let error = SpecError {
            message: format!(
                "cpipe cannot add the digest of source `{name}` to this line; nothing was written"
            ),
            span: Some(entry.span.clone()),
            label: None,
            help: Some(format!(
                "give `{name}` a line of its own, `{{ path: …, blake3: … }}`; or pin the others by name: `{} NAME…`",
                session.command("update --pin")
            )),
        };
        return Err(CliError::spec(&session.path, &session.text, &[error]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_was_made_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.yaml");
        std::fs::write(&path, "edited").unwrap();
        let refused = replace(&path, "read", "pinned").unwrap_err();
        assert_eq!(refused.kind.exit_code(), 10);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "edited");
        replace(&path, "edited", "pinned").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "pinned");
    }
}
