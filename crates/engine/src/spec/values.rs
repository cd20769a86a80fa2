//! What the values of an axis may be.

use std::collections::BTreeSet;

use super::error::SpecError;
use super::tree::Node;

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

/// A value that is there twice. Values are compared as they are written, as everywhere: whoever takes
/// them for numbers has to refuse one number in two spellings.
pub(crate) fn check_repeats(axis: &str, values: &[Node]) -> Vec<SpecError> {
    let mut seen = BTreeSet::new();
    let twice = values.iter().filter_map(|value| {
        let text = value.scalar_text()?;
        let message = format!("axis `{axis}` has the value `{text}` twice");
        let is_new = seen.insert(text);
        (!is_new).then(|| SpecError::at(value.span.clone(), message))
    });
    twice.collect()
}
