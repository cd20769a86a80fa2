//! What the values of an axis may be.

use std::collections::{BTreeMap, BTreeSet};

use super::error::SpecError;
use super::tree::{Meaning, Node};

/// A value is a scalar that selectors, labels and paths can hold.
pub(crate) fn check_value(axis: &str, value: &Node) -> Result<(), SpecError> {
    let refuse = |message| Err(SpecError::at(value.span.clone(), message));
    let Some(text) = value.scalar_text() else {
        let found = value.describe();
        return refuse(format!(
            "a value of axis `{axis}` is {found}, expected a scalar"
        ));
    };
    if text.is_empty() || text.contains([',', '=', '[', ']', '/', '\\', '$']) {
        return refuse(format!(
            "the value `{text}` of axis `{axis}` is empty or has one of , = [ ] / \\ $"
        ));
    }
    if text.contains(char::is_control) {
        let shown = text.escape_debug();
        return refuse(format!(
            "the value `{shown}` of axis `{axis}` has a control character"
        ));
    }
    Ok(())
}

/// A value that is there twice, unless it may be; and one value in two spellings, which is a mistake
/// everywhere: a fit would count it twice.
pub(crate) fn check_repeats<'m>(
    axis: &str,
    values: &'m [Node],
    included: impl Iterator<Item = &'m Node>,
    may_repeat: bool,
) -> Vec<SpecError> {
    let mut seen = BTreeSet::new();
    let twice = values.iter().filter_map(|value| {
        let text = value.scalar_text()?;
        let message = format!("axis `{axis}` has the value `{text}` twice");
        let is_new = may_repeat || seen.insert(text);
        (!is_new).then(|| SpecError::at(value.span.clone(), message))
    });
    let mut errors: Vec<SpecError> = twice.collect();
    let mut spellings = BTreeMap::new();
    for value in values.iter().chain(included) {
        errors.extend(other_spelling(axis, value, &mut spellings));
    }
    errors
}

/// The error if the value was spelled otherwise before; `spellings` has those that were seen.
fn other_spelling<'m>(
    axis: &str,
    value: &'m Node,
    spellings: &mut BTreeMap<String, &'m str>,
) -> Option<SpecError> {
    let written = value.scalar_text()?;
    let first = *spellings.entry(meaning_of(value)?).or_insert(written);
    let message =
        format!("axis `{axis}` has one value in two spellings, `{first}` and `{written}`");
    let help = "put both in quotes if they are texts, else keep one of them";
    (first != written).then(|| SpecError::at(value.span.clone(), message).help(help))
}

/// A text that two values share exactly if they mean the same; none for what means nothing but its
/// text: texts, and numbers that no type holds.
fn meaning_of(value: &Node) -> Option<String> {
    match value.meaning()? {
        Meaning::Null => Some("null".to_owned()),
        Meaning::Bool(value) => Some(value.to_string()),
        Meaning::Number(number) => match number.whole {
            Some(whole) => Some(whole.to_string()),
            None => Some(number.double.to_string()).filter(|_| number.double.is_finite()),
        },
    }
}
