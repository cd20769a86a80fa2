use std::ops::Range;

/// Something wrong in the pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// Bytes of the file that it is about.
    pub span: Option<Range<usize>>,
    /// What was expected there.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl SpecError {
    pub(crate) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: Some(span),
            label: None,
            help: None,
        }
    }

    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: None,
            label: None,
            help: None,
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Lists the valid names and suggests the nearest.
    pub(crate) fn choices<'c>(self, found: &str, names: impl Iterator<Item = &'c str>) -> Self {
        let names: Vec<&str> = names.collect();
        let error = match nearest(found, names.iter().copied()) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        };
        if names.is_empty() {
            return error.label("there are none to choose from");
        }
        let shown: Vec<&str> = names.iter().copied().take(12).collect();
        let more = if names.len() > shown.len() {
            ", …"
        } else {
            ""
        };
        error.label(format!("expected one of: {}{more}", shown.join(", ")))
    }
}

/// The name most like `found`, if any is like it at all.
pub(crate) fn nearest<'n>(found: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| {
            let longer = found.len().max(name.len());
            *distance < longer && *distance <= (longer / 3).max(1)
        })
        .min()
        .map(|(_, name)| name)
}
