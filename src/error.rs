//! What the user is told when something is wrong, and with which exit code.

use std::io::{ErrorKind, IsTerminal};
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use cpipe_engine::EngineError;
use cpipe_engine::spec::SpecError;

use crate::secrets::masked;

/// Whose fault it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or option on the command line.
    Usage,
    /// pipeline.yaml, or a source that is not what it declares.
    Spec,
    /// The cache or the file system.
    Cache,
}

impl Kind {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Spec => 10,
            Self::Cache => 30,
        }
    }
}

/// Exit code when a node failed.
pub(crate) const NODE_FAILED: u8 = 20;
/// Exit code after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error as it is shown: one rendered text.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) kind: Kind,
    text: String,
}

impl CliError {
    /// A message with an optional hint.
    pub(crate) fn new(kind: Kind, message: &str, hint: Option<&str>) -> Self {
        let title = Level::ERROR.primary_title(message);
        let mut group = Group::with_title(title);
        if let Some(hint) = hint {
            group = group.element(Level::HELP.message(hint));
        }
        let text = renderer().render(&[group]);
        Self { kind, text }
    }

    /// Errors of the pipeline file, each with the line it is in.
    pub(crate) fn spec(path: &Path, source: &str, errors: &[SpecError]) -> Self {
        let path = path.display().to_string();
        let source = &masked(source);
        let rendered: Vec<String> = errors
            .iter()
            .map(|error| render_spec_error(&path, source, error))
            .collect();
        let text = rendered.join("\n\n");
        Self {
            kind: Kind::Spec,
            text,
        }
    }

    #[expect(clippy::print_stderr, reason = "the one place where errors are shown")]
    pub(crate) fn print(&self) {
        eprintln!("{}", self.text);
    }
}

fn render_spec_error(path: &str, source: &str, error: &SpecError) -> String {
    let mut group = Group::with_title(Level::ERROR.primary_title(&error.message));
    group = match &error.span {
        Some(span) => {
            let mut annotation = AnnotationKind::Primary.span(span.clone());
            if let Some(label) = &error.label {
                annotation = annotation.label(label);
            }
            group.element(Snippet::source(source).path(path).annotation(annotation))
        }
        None => group.element(annotate_snippets::Origin::path(path)),
    };
    if let (None, Some(label)) = (&error.span, &error.label) {
        group = group.element(Level::NOTE.message(label));
    }
    if let Some(help) = &error.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer().render(&[group])
}

/// Colours only on a terminal and only if `NO_COLOR` is not set.
pub(crate) fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn renderer() -> Renderer {
    if colours() {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        let (kind, hint) = match &error {
            EngineError::NotFound(_) => (Kind::Usage, None),
            EngineError::Damaged { .. } => (
                Kind::Cache,
                Some("`cpipe verify --repair` takes out what is damaged"),
            ),
            EngineError::Io { source, .. } => (Kind::Cache, io_hint(source.kind())),
            EngineError::Entry { fault, .. } => (Kind::Spec, Some(fault.hint())),
            EngineError::ReadOnly { .. } => (
                Kind::Cache,
                Some("ask for the right to write to it, or name another cache with --cache"),
            ),
            _ => (Kind::Cache, None),
        };
        Self::new(kind, &error.to_string(), hint)
    }
}

/// What helps against what the operating system said.
fn io_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::NotFound => Some("check the path: there is nothing"),
        ErrorKind::PermissionDenied => Some("check that this user has the right to it"),
        ErrorKind::ReadOnlyFilesystem => Some("its file system is mounted read-only"),
        ErrorKind::StorageFull => Some("the disk that it is on is full: free some space"),
        ErrorKind::QuotaExceeded => Some("the quota of this user is used up: free some space"),
        ErrorKind::NotADirectory => Some("a part of the path is a file and no folder"),
        _ => None,
    }
}

/// A panic is a bug; what the user sees of it is one line, not a backtrace.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        #[expect(clippy::print_stderr, reason = "nothing else is left to tell it")]
        {
            eprintln!("internal error at {place}");
        }
    }));
}
