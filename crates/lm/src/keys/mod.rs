//! What a model's config says, key by key, so that no key is passed over: each is read by the architecture,
//! known not to matter, or refused by name.

mod common;
mod json;
mod rope;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub(crate) use common::COMMON;
pub(crate) use json::{parse, parse_strictly};
pub(crate) use rope::{Rope, RopeKeys};

/// Keys that a message lists at most.
const LISTED: usize = 8;

/// The largest size that a key may have; guards arithmetic against a damaged file.
const LARGEST: usize = 1 << 24;

/// A key that an architecture does not read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    /// It does not matter.
    Any(&'static str),
    /// It does not matter with one of these values, written as JSON.
    Only(&'static str, &'static [&'static str]),
    /// Another name of a key that is read: it must have the same value.
    Same(&'static str, &'static str),
    /// It is never passed over, for this reason.
    Never(&'static str, &'static str),
}

impl Known {
    fn key(self) -> &'static str {
        match self {
            Self::Any(key) | Self::Only(key, _) | Self::Same(key, _) | Self::Never(key, _) => key,
        }
    }
}

/// The keys of a config, and which of them were read.
pub(crate) struct Keys {
    values: Map<String, Value>,
    read: BTreeSet<String>,
    /// What stands before a key in messages.
    within: String,
    /// What a key is called in the file, where it is not called so.
    spelled: BTreeMap<String, String>,
    /// What the user said to ignore.
    ignored: BTreeSet<String>,
}

impl Keys {
    /// The keys of a file, without those that the user said to ignore.
    pub(crate) fn new(mut values: Map<String, Value>, ignore: &BTreeSet<String>) -> Self {
        values.retain(|key, _| !ignore.contains(key));
        Self {
            values,
            read: BTreeSet::new(),
            within: String::new(),
            spelled: BTreeMap::new(),
            ignored: ignore.clone(),
        }
    }

    /// The same, where the file has other names for some keys.
    pub(crate) fn spelled(self, spelled: BTreeMap<String, String>) -> Self {
        Self { spelled, ..self }
    }

    /// What the value of key `of` holds.
    pub(crate) fn nested(of: &str, values: Map<String, Value>) -> Self {
        Self {
            within: format!("{of}."),
            ..Self::new(values, &BTreeSet::new())
        }
    }

    /// The same of a key here, without those that the user said to ignore by their dotted names.
    pub(crate) fn inner(&self, key: &str, values: Map<String, Value>) -> Self {
        let start = format!("{key}.");
        let ignored = self.ignored.iter().filter_map(|k| k.strip_prefix(&start));
        let spelled = self.spelled.iter();
        let spelled = spelled.filter_map(|(k, name)| Some((k.strip_prefix(&start)?, name)));
        Self {
            within: format!("{}.", self.name(key)),
            spelled: spelled
                .map(|(k, name)| (k.to_owned(), name.clone()))
                .collect(),
            ..Self::new(values, &ignored.map(str::to_owned).collect())
        }
    }

    /// What the file calls a key.
    pub(crate) fn name(&self, key: &str) -> String {
        let spelled = self.spelled.get(key);
        spelled.map_or_else(|| format!("{}{key}", self.within), Clone::clone)
    }

    /// Whether the key is there, be it without a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// A key's value; nothing for `null`.
    pub(crate) fn value(&mut self, key: &str) -> Option<Value> {
        self.read.insert(key.to_owned());
        self.values.get(key).filter(|v| !v.is_null()).cloned()
    }

    /// A size from 1.
    pub(crate) fn count(&mut self, key: &str) -> Result<usize, String> {
        let count = self.count_if(key)?;
        count.ok_or_else(|| format!("`{}` is missing, expected a whole number", self.name(key)))
    }

    /// The same, if it is there.
    pub(crate) fn count_if(&mut self, key: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let whole = |n: f64| (n.fract() == 0.0 && n >= 0.0 && n <= LARGEST as f64).then_some(n);
        let count = value.as_f64().and_then(whole).map(|n| n as usize);
        match count.filter(|n| *n > 0) {
            Some(count) => Ok(Some(count)),
            None => Err(self.wrong(key, &value, "a whole number from 1 to 16777216")),
        }
    }

    /// A number, if it is there.
    pub(crate) fn number_if(&mut self, key: &str) -> Result<Option<f64>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, &value, "a number")),
            },
        }
    }

    /// What is added to a variance before its root is taken.
    pub(crate) fn epsilon(&mut self, key: &str, default: f64) -> Result<f64, String> {
        let epsilon = self.number_if(key)?.unwrap_or(default);
        match epsilon {
            0.0..1.0 => Ok(epsilon),
            other => Err(self.wrong(key, &other.into(), "a number from 0 to 1")),
        }
    }

    pub(crate) fn flag(&mut self, key: &str, default: bool) -> Result<bool, String> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(self.wrong(key, &other, "true or false")),
        }
    }

    /// One of `choices`: what stands beside the value of the key.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &str,
        default: &str,
        choices: &[(&str, T)],
    ) -> Result<T, String> {
        let value = self.value(key).unwrap_or_else(|| default.into());
        let found = choices.iter().find(|(name, _)| value == *name);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(key, &value, &names.join(", "))
        })
    }

    /// A number that goes by several names, which must not disagree.
    pub(crate) fn agreed(&mut self, keys: &[&str]) -> Result<Option<(String, f64)>, String> {
        let mut agreed: Option<(String, f64)> = None;
        for key in keys {
            let Some(number) = self.number_if(key)? else {
                continue;
            };
            match &agreed {
                Some((other, value)) if *value != number => {
                    return Err(format!(
                        "`{other}` is {value} and `{}` is {number}, expected the same",
                        self.name(key)
                    ));
                }
                Some(_) => {}
                None => agreed = Some((self.name(key), number)),
            }
        }
        Ok(agreed)
    }

    /// Says what a key should be.
    pub(crate) fn wrong(&self, key: &str, found: &Value, expected: &str) -> String {
        format!(
            "`{}` is {}, expected {expected}",
            self.name(key),
            shown(found)
        )
    }

    /// Refuses every key that nobody read and that may matter.
    pub(crate) fn finish(&self, known: &[&[Known]]) -> Result<(), String> {
        let unread = self.values.iter();
        let unread = unread.filter(|(key, value)| !value.is_null() && !self.read.contains(*key));
        let (mut strange, mut refused) = (Vec::new(), Vec::new());
        for (key, value) in unread {
            match known
                .iter()
                .copied()
                .flatten()
                .find(|known| known.key() == key)
            {
                None => strange.push(format!("`{}` is {}", self.name(key), shown(value))),
                Some(known) => refused.extend(self.refusal(*known, value)),
            }
        }
        if !strange.is_empty() {
            let (first, more) = strange.split_at(strange.len().min(LISTED));
            let rest = match more.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            refused.push(format!(
                "{}{rest}: not known here, so it may change what the model computes",
                first.join(", ")
            ));
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}; `ignore` of the stage `score` scores the model as if it did not have a key",
            refused.join("; ")
        ))
    }

    /// What is wrong with a key that is known and was not read.
    fn refusal(&self, known: Known, value: &Value) -> Option<String> {
        let key = known.key();
        match known {
            Known::Any(_) => None,
            Known::Only(_, values) => {
                let read = |text: &&str| serde_json::from_str(text).unwrap_or_default();
                let fits = values.iter().any(|text| same(&read(text), value));
                (!fits).then(|| self.wrong(key, value, &values.join(" or ")))
            }
            Known::Same(_, other) => {
                let expected = self.values.get(other).unwrap_or(&Value::Null);
                (!expected.is_null() && !same(expected, value)).then(|| {
                    let expected = format!("{} as `{}`", shown(expected), self.name(other));
                    self.wrong(key, value, &expected)
                })
            }
            Known::Never(_, reason) => {
                let (name, value) = (self.name(key), shown(value));
                Some(format!("`{name}` is {value}: {reason}"))
            }
        }
    }
}

/// Whether two values are equal, numbers by what they stand for.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A value for messages, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
