//! Fakes for tests of the engine: stages that write a line and count their runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::{Params, Registry, SourceEntry, SpecError};
use crate::stage::{
    Fetch, Inputs, OutputDir, OutputSpec, Report, Role, Roles, SourceFile, Stage, StageContext,
    StageError, StageId,
};

/// Knows `read` (a source), `join` (many inputs → one line) and `copy` (one input).
#[derive(Debug, Default)]
pub struct FakeRegistry {
    /// How often any stage ran.
    pub runs: Arc<AtomicUsize>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FakeParams {
    #[serde(default)]
    text: String,
    #[serde(default)]
    count: u32,
    #[serde(default)]
    fail: bool,
    /// Attempts that fail before one succeeds.
    #[serde(default)]
    flaky: usize,
    /// Waits until it is told to stop.
    #[serde(default)]
    hang: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadParams {
    source: String,
}

struct Fake {
    params: FakeParams,
    roles: &'static [Role],
    source: Option<(String, SourceEntry)>,
    name: &'static str,
    runs: Arc<AtomicUsize>,
}

const ONE: &[Role] = &[Role {
    name: "input",
    many: false,
}];
const MANY: &[Role] = &[Role {
    name: "inputs",
    many: true,
}];

impl Registry for FakeRegistry {
    fn kinds(&self) -> &[&'static str] {
        &["read", "join", "copy", "make"]
    }

    fn build(&self, kind: &str, params: Params<'_>) -> Result<Arc<dyn Stage>, SpecError> {
        let runs = Arc::clone(&self.runs);
        let empty = FakeParams {
            text: String::new(),
            count: 0,
            fail: false,
            flaky: 0,
            hang: false,
        };
        let (name, roles, params, source): (_, &'static [Role], _, _) = match kind {
            "read" => {
                let name = params.parse::<ReadParams>()?.source;
                let entry = params.source("source", &name)?;
                ("read", &[], empty, Some((name, entry.clone())))
            }
            "join" => ("join", MANY, params.parse()?, None),
            "copy" => ("copy", ONE, params.parse()?, None),
            _ => ("make", &[], params.parse()?, None),
        };
        Ok(Arc::new(Fake {
            params,
            roles,
            source,
            name,
            runs,
        }))
    }
}

impl Stage for Fake {
    fn id(&self) -> StageId {
        StageId {
            name: self.name.into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.params).expect("params are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(self.roles)
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![OutputSpec::file("out.txt")]
    }

    fn sources(&self) -> Vec<SourceFile> {
        let local = |(_, entry): &(String, SourceEntry)| {
            Some(SourceFile {
                name: "source".to_owned(),
                path: entry.path()?.to_owned(),
                pin: entry.pin.clone(),
                keeps_name: false,
            })
        };
        self.source.iter().filter_map(local).collect()
    }

    fn fetches(&self) -> Vec<Fetch> {
        let remote = self.source.iter().filter(|(_, e)| e.path().is_none());
        remote
            .map(|(name, entry)| Fetch {
                name: "source".to_owned(),
                source: name.clone(),
                pin: entry.pin.clone(),
            })
            .collect()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let earlier = self.runs.fetch_add(1, Ordering::Relaxed);
        (context.log)("it ran");
        if self.params.hang {
            loop {
                context.check_cancelled()?;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        if earlier < self.params.flaky {
            return Err(StageError::failed("it failed for now"));
        }
        if self.params.fail {
            return Err(StageError::failed("it was told to fail"));
        }
        let mut text = format!("{} {}\n", self.params.text, self.params.count);
        for node in inputs.roles.values().flatten() {
            let path = node.file("out.txt")?;
            text += &std::fs::read_to_string(path).map_err(|e| StageError::io(path, e))?;
        }
        for path in inputs
            .sources
            .values()
            .flat_map(|files| files.by_name().values())
        {
            text += &std::fs::read_to_string(path).map_err(|e| StageError::io(path, e))?;
        }
        let path = outputs.path("out.txt");
        std::fs::write(&path, text).map_err(|e| StageError::io(path, e))?;
        Ok(Report::default())
    }
}
