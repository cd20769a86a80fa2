//! The YAML text as a tree with positions: the only file that knows the YAML library.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::error::SpecError;
use super::number::Number;

/// A YAML value and the bytes it was written in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A scalar that is more than a text, with the text that it was written as.
    Plain(Plain),
    /// A scalar that is a text and nothing else.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A scalar such as `3.10`: it is a number or a text, whichever is wanted where it is used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plain {
    pub(crate) written: String,
    pub(crate) meaning: Meaning,
}

/// What YAML reads a scalar without quotes as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meaning {
    Null,
    Bool(bool),
    Number(Number),
}

/// A mapping's key and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
}

impl Node {
    /// The value under `key`, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(_, node)| node)
    }

    /// The value under a key of a mapping, or at a place of a list.
    pub(crate) fn step(&self, step: &str) -> Option<&Self> {
        match &self.value {
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => self.get(step),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => entries
                .iter_mut()
                .find(|(k, _)| k.text == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// A scalar as it was written, without quotes; none for lists and mappings.
    pub(crate) fn scalar_text(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(plain) => Some(&plain.written),
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A scalar where a text is wanted; nothing is no text.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar_text().filter(|_| !self.is_null())
    }

    /// What YAML reads it as, unless that is a text, a list or a mapping.
    pub(crate) fn meaning(&self) -> Option<Meaning> {
        match &self.value {
            Value::Plain(plain) => Some(plain.meaning),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.meaning() == Some(Meaning::Null)
    }

    /// Whether entries may stand here: a mapping, or nothing yet.
    pub(crate) fn is_map_or_null(&self) -> bool {
        self.is_null() || matches!(self.value, Value::Map(_))
    }

    pub(crate) fn number(&self) -> Option<Number> {
        match self.meaning() {
            Some(Meaning::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// The whole number that it spells, where no other is wanted.
    pub(crate) fn whole(&self) -> Option<i128> {
        self.number()?.whole
    }

    /// What it is, for messages: "the text `abc`".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Plain(Plain { written, meaning }) => match meaning {
                Meaning::Null => "nothing".to_owned(),
                Meaning::Bool(_) => format!("`{written}`"),
                Meaning::Number(number) if number.is_integer => format!("the integer {written}"),
                Meaning::Number(_) => format!("the number {written}"),
            },
            Value::Text(text) => format!("the text `{text}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Gives the whole subtree another position: that of the variable it is substituted for.
    pub(crate) fn moved_to(&self, span: &Range<usize>) -> Self {
        let value = match &self.value {
            Value::List(items) => Value::List(items.iter().map(|n| n.moved_to(span)).collect()),
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, node)| {
                        (
                            Key {
                                text: key.text.clone(),
                                span: span.clone(),
                            },
                            node.moved_to(span),
                        )
                    })
                    .collect(),
            ),
            scalar => scalar.clone(),
        };
        Self {
            span: span.clone(),
            value,
        }
    }
}

/// Parses a document.
pub(crate) fn parse(text: &str) -> Result<Node, SpecError> {
    let node = parse_value(text)?;
    if node.is_null() {
        return Err(SpecError::general("the file is empty")
            .help("`version: 1` and a `stages:` mapping are the least it can hold"));
    }
    Ok(node)
}

/// Parses any one value; an empty text is nothing.
pub(crate) fn parse_value(text: &str) -> Result<Node, SpecError> {
    let places = Places::of(text);
    let raw: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options()).map_err(|e| places.describe(&e))?;
    places.convert(raw)
}

/// A text that came without quotes, as a scalar of one line: `3.10` is a number and a text.
pub(crate) fn scalar_of(text: &str, span: &Range<usize>) -> Node {
    let value = match parse_value(text) {
        Ok(Node {
            value: Value::Plain(plain),
            ..
        }) if plain.written == text => Value::Plain(plain),
        _ => Value::Text(text.to_owned()),
    };
    Node {
        span: span.clone(),
        value,
    }
}

/// Repeated keys are refused here, with a message of our own; numbers that are not finite where a
/// number is wanted.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 32, max_events: 8_000_000, max_nodes: 4_000_000 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    }
}

/// A text with the bytes at which its lines begin.
struct Places<'t> {
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Places<'t> {
    fn of(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    fn describe(&self, error: &serde_saphyr::Error) -> SpecError {
        let error = error.without_snippet();
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).trim();
        let message = format!("not valid YAML: {message}");
        match error.location().map(|location| self.span_of(location)) {
            Some(span) => SpecError::at(span, message),
            None => SpecError::general(message),
        }
    }

    /// Byte range of a location, never outside the text and never inside a character.
    fn span_of(&self, location: Location) -> Range<usize> {
        let span = location.span();
        let start = match span.byte_offset() {
            Some(offset) => offset as usize,
            None => self.offset(location.line() as usize, location.column() as usize),
        };
        let length = span.byte_len().unwrap_or_else(|| span.len()) as usize;
        let start = floor(self.text, start);
        let end = floor(self.text, start.saturating_add(length)).max(start);
        start..start + self.text[start..end].trim_end().len()
    }

    /// The byte at a line and column, both from 1.
    fn offset(&self, line: usize, column: usize) -> usize {
        let last = self.lines.len() - 1;
        let start = self.lines[line.saturating_sub(1).min(last)];
        let before = self.text[start..].chars().take(column.saturating_sub(1));
        start + before.map(char::len_utf8).sum::<usize>()
    }

    fn convert(&self, raw: Spanned<Raw>) -> Result<Node, SpecError> {
        let span = self.span_of(raw.referenced);
        let defined = self.written(raw.defined);
        let plain = |shown: String, meaning: Meaning| {
            let written = defined.map_or(shown, str::to_owned);
            Value::Plain(Plain { written, meaning })
        };
        let value = match raw.value {
            Raw::Null => plain("null".to_owned(), Meaning::Null),
            Raw::Bool(value) => plain(value.to_string(), Meaning::Bool(value)),
            Raw::Integer(value) => {
                plain(value.to_string(), Meaning::Number(Number::integer(value)))
            }
            Raw::Float(value) => {
                let number = Number::float(defined.unwrap_or_default(), value);
                plain(value.to_string(), Meaning::Number(number))
            }
            Raw::Text(value) => Value::Text(value),
            Raw::List(items) => {
                let items = items.into_iter().map(|item| self.convert(item));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Raw::Map(entries) => Value::Map(self.convert_map(entries)?),
        };
        Ok(Node { span, value })
    }

    /// The text of a scalar where it is defined, unless quotes or a tag are part of it.
    fn written(&self, defined: Location) -> Option<&'t str> {
        let text = &self.text[self.span_of(defined)];
        (!text.starts_with(['\'', '"', '|', '>', '!', '&', '*'])).then_some(text)
    }

    fn convert_map(&self, entries: RawEntries) -> Result<Vec<(Key, Node)>, SpecError> {
        let mut seen = BTreeSet::new();
        let mut map = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let span = self.span_of(key.referenced);
            let text = key.value;
            if !seen.insert(text.clone()) {
                let message = format!("the key `{text}` is here twice");
                return Err(SpecError::at(span, message));
            }
            map.push((Key { text, span }, self.convert(node)?));
        }
        Ok(map)
    }
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

type RawEntries = Vec<(Spanned<String>, Spanned<Raw>)>;

enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(RawEntries),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
