//! The `command` stage: any program, with declared inputs, outputs and environment.

mod child;
pub mod guardian;
mod trace;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Component, Path, PathBuf};
use std::process::ExitStatus;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::log::Log;
use crate::stage::{
    Inputs, OutputDir, OutputKind, OutputSpec, Report, Roles, SourceFile, Stage, StageContext,
    StageError, StageId,
};

/// The kind of stage that runs a program.
pub const KIND: &str = "command";

/// Parameters of the `command` stage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandParams {
    /// The program and its arguments; no shell reads them.
    pub program: Vec<String>,
    /// Files that it writes in its working folder; a name that ends in `/` is a folder.
    pub outputs: Vec<String>,
    /// Local files and folders that it reads, found in its working folder under the same names.
    #[serde(default)]
    pub files: Vec<String>,
    /// Environment variables that are passed on; their values enter the key.
    #[serde(default)]
    pub environment: Vec<String>,
    /// Environment variables that are set.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// Runs a program in a working folder of its own, where each input lies at `ROLE/OUTPUT`, or at
/// `ROLE/CELL/OUTPUT` if several nodes feed the role.
#[derive(Clone, Debug)]
pub struct Command {
    params: CommandParams,
    root: PathBuf,
}

impl Command {
    /// Checks the parameters; `root` is the pipeline's folder.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: CommandParams, root: &Path) -> Result<Self, (String, String)> {
        let refuse = |field: &str, message: String| Err((field.to_owned(), message));
        if params.program.is_empty() {
            return refuse("program", "the program is missing".into());
        }
        if params.outputs.is_empty() {
            return refuse("outputs", "a command must declare what it writes".into());
        }
        for (field, names) in [("outputs", &params.outputs), ("files", &params.files)] {
            if let Some(name) = names.iter().find(|name| !is_inside(name)) {
                let message = format!("`{name}` is not a relative path without `..`");
                return refuse(field, message);
            }
        }
        if let Some((one, other)) = nested(&params.outputs) {
            let message = if one == other {
                format!("the output `{one}` is declared twice")
            } else {
                format!("the output `{other}` is inside the output `{one}`")
            };
            return refuse("outputs", message);
        }
        Ok(Self {
            params,
            root: root.to_owned(),
        })
    }

    /// The program with a clean environment, in its working folder, perhaps under a tracer.
    fn prepare(&self, folder: &Path, record: Option<&Path>) -> std::process::Command {
        let words: Vec<String> = record.map(trace::arguments).unwrap_or_default();
        let words = words.iter().chain(&self.params.program);
        let mut words: Vec<&String> = words.collect();
        let tracer = "strace".to_owned();
        let program = match record {
            Some(_) => &tracer,
            None => words.remove(0),
        };
        let mut command = std::process::Command::new(program);
        command
            .args(words)
            .current_dir(folder)
            .env_clear()
            .env("LC_ALL", "C")
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.environment())
            .envs(&self.params.set);
        command
    }

    /// Every declared output must have been written.
    fn check_outputs(&self, folder: &Path, log: Option<&Log>) -> Result<(), StageError> {
        let outputs = self.outputs().into_iter();
        let mut missing =
            outputs.filter(|output| folder.join(&output.name).symlink_metadata().is_err());
        let Some(output) = missing.next() else {
            return Ok(());
        };
        let (program, name) = (&self.params.program[0], output.name);
        let message = format!("`{program}` did not write its output `{name}`");
        Err(StageError::hinted(message, child::said(log)))
    }
}

fn is_inside(name: &str) -> bool {
    !name.is_empty()
        && Path::new(name)
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
}

/// Two outputs of which one is the other or lies in it.
fn nested(outputs: &[String]) -> Option<(String, String)> {
    let mut paths: Vec<PathBuf> = outputs
        .iter()
        .map(|name| Path::new(name).components().collect())
        .collect();
    paths.sort();
    let pair = paths
        .windows(2)
        .find(|pair| pair[1].starts_with(&pair[0]))?;
    let name = |path: &Path| path.display().to_string();
    Some((name(&pair[0]), name(&pair[1])))
}

impl Stage for Command {
    fn id(&self) -> StageId {
        StageId {
            name: KIND.into(),
            version: 1,
        }
    }

    /// The files' digests are inputs, their values in the environment stand apart.
    fn params(&self) -> Value {
        let CommandParams {
            program,
            outputs,
            set,
            ..
        } = &self.params;
        json!({ "program": program, "outputs": outputs, "set": set })
    }

    fn roles(&self) -> Roles {
        Roles::Any
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let spec = |name: &String| match name.strip_suffix('/') {
            Some(folder) => OutputSpec::dir(folder),
            None => OutputSpec::file(name.as_str()),
        };
        self.params.outputs.iter().map(spec).collect()
    }

    fn sources(&self) -> Vec<SourceFile> {
        let source = |name: &String| SourceFile {
            name: name.clone(),
            path: self.root.join(name),
            pin: None,
            keeps_name: false,
        };
        self.params.files.iter().map(source).collect()
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let names = self.params.environment.iter();
        names
            .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
            .collect()
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        // It works where its outputs are taken from; what else it leaves there goes with the folder.
        let folder = outputs.root();
        for output in self.outputs().iter().filter(|o| o.kind == OutputKind::Dir) {
            let path = folder.join(&output.name);
            fs_err::remove_dir(&path).map_err(|e| StageError::io(&path, e))?;
        }
        bring_inputs(&self.params.files, inputs, folder)?;
        let name = &self.params.program[0];
        let traced = context.programs.trace.then_some(context.scratch);
        let record = traced.map(trace::record_in).transpose()?;
        let mut command = self.prepare(folder, record.as_deref());
        let started = if record.is_some() { "strace" } else { name };
        let ended = child::run(&mut command, started, context)?;
        judge(name, ended.status, context.programs.log)?;
        self.check_outputs(folder, context.programs.log)?;
        let mut report = Report {
            peak_memory: Some(ended.peak_memory),
            ..Report::default()
        };
        if let Some(record) = record {
            let text = fs_err::read_to_string(&record).map_err(|e| StageError::io(&record, e))?;
            let read = trace::undeclared(&text, folder);
            report.facts.insert("undeclared_reads".into(), json!(read));
        }
        Ok(report)
    }
}

/// Copies every input into the working folder, so that nothing done there can reach the cache.
fn bring_inputs(names: &[String], inputs: &Inputs, folder: &Path) -> Result<(), StageError> {
    for (role, nodes) in &inputs.roles {
        for node in nodes {
            let place = match nodes.len() {
                1 => folder.join(role),
                _ => folder.join(role).join(node.cell.to_string()),
            };
            for (output, artifact) in &node.outputs {
                artifact.files.place(&place.join(output))?;
            }
        }
    }
    for name in names {
        if let Some(files) = inputs.sources.get(name) {
            files.place(&folder.join(name))?;
        }
    }
    Ok(())
}

fn judge(program: &str, status: ExitStatus, log: Option<&Log>) -> Result<(), StageError> {
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended without success".to_owned(),
    };
    Err(StageError::hinted(
        format!("`{program}` {how}"),
        child::said(log),
    ))
}
