//! What every command starts from: the pipeline, its cache, and where outputs go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cpipe_engine::cache::StatCache;
use cpipe_engine::places::Places;
use cpipe_engine::plan::{self, Workspace};
use cpipe_engine::records::{History, RunInfo};
use cpipe_engine::seen::Seen;
use cpipe_engine::spec::{self, Options, PendingAxis, Pipeline, SourceEntry};
use cpipe_engine::{Cache, EngineError, Lock, Manifest, regular};
use petgraph::graph::NodeIndex;

use crate::cli::{PipelineArgs, Selection};
use crate::error::{CliError, Kind};
use crate::holds;
use crate::options;
use crate::registry::Stages;
use crate::secrets::masked;
use crate::sources;

/// What records call the profile of a pipeline without profiles.
pub(crate) const NO_PROFILE: &str = "default";

/// An opened pipeline.
pub(crate) struct Session {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) pipeline: Pipeline,
    pub(crate) cache: Cache,
    pub(crate) stats: StatCache,
    pub(crate) history: History,
    seen: Seen,
    /// What the command line says of the pipeline.
    args: PipelineArgs,
    asked_for: Options,
    stages: Stages,
}

impl Session {
    /// Reads the pipeline file, reports all its errors, and opens the cache.
    ///
    /// Axes that a stage writes are read from the cache as far as they are there.
    pub(crate) fn open(args: &PipelineArgs) -> Result<Self, CliError> {
        Self::open_for(args, &Selection::default())
    }

    /// The same; with `--only` no source is looked at.
    pub(crate) fn open_for(args: &PipelineArgs, selection: &Selection) -> Result<Self, CliError> {
        let mut written = BTreeMap::new();
        loop {
            let session = Self::load(args, &written, !selection.only.is_empty())?;
            let before = written.len();
            for pending in &session.pipeline.pending {
                if let Some(text) = session.written_values(pending)? {
                    written.insert(pending.axis.clone(), text);
                }
            }
            if written.len() == before {
                if selection.only.is_empty() {
                    holds::check(&session)?;
                }
                return Ok(session);
            }
        }
    }

    fn load(
        args: &PipelineArgs,
        written: &BTreeMap<String, String>,
        blind: bool,
    ) -> Result<Self, CliError> {
        let path = args.file.clone();
        let text = read_pipeline(&path)?;
        let root = folder_of(&path)?;
        let lock = sources::read_lock(&root)?;
        let asked_for = Options {
            profile: args.profile.clone(),
            sets: args.sets.clone(),
            lock: lock.clone(),
            written: written.clone(),
        };
        let stages = Stages {
            downloads: Cache::downloads_below(&cache_folder(args)?),
            device: args.device.class(),
        };
        let pipeline = spec::load(&root, &text, &asked_for, &stages)
            .map_err(|errors| CliError::spec(&path, &text, &errors))?;
        let cache = open_cache(args)?;
        let stats = StatCache::open(cache.root(), args.rehash);
        let asked = asked(&cache, &path, &pipeline, &args.sets);
        Ok(Self {
            history: History::new(&cache, &asked),
            seen: Seen::new(sources::seen(&lock, &pipeline), blind),
            args: args.clone(),
            asked_for,
            stages,
            path,
            text,
            pipeline,
            cache,
            stats,
        })
    }

    /// What cpipe.lock said when the pipeline was read.
    pub(crate) fn lock(&self) -> &Lock {
        &self.asked_for.lock
    }

    /// What is asked for, as records say it.
    pub(crate) fn asked(&self) -> RunInfo {
        asked(&self.cache, &self.path, &self.pipeline, &self.args.sets)
    }

    /// A command on this pipeline with the options that were given, to be pasted into a shell.
    pub(crate) fn command(&self, name: &str) -> String {
        options::command(&self.args, name)
    }

    /// The sources that another text of the pipeline file declares; none if it has a mistake.
    pub(crate) fn sources_of(&self, text: &str) -> Option<BTreeMap<String, SourceEntry>> {
        let pipeline = spec::load(&self.pipeline.root, text, &self.asked_for, &self.stages);
        Some(pipeline.ok()?.sources)
    }

    /// Refuses `--only` where nothing could be taken from the cache.
    pub(crate) fn refuse_empty_cache(&self, targets: &[NodeIndex]) -> Result<(), CliError> {
        let folder = self.cache.actions.folder();
        let is_empty = std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_none());
        if !is_empty || self.pipeline.graph.ancestors(targets).len() == targets.len() {
            return Ok(());
        }
        let folder = self.cache.root().parent().unwrap_or(self.cache.root());
        let message = format!(
            "the cache in {} is empty, and `--only` takes every input from it",
            folder.display()
        );
        let hint = format!(
            "`{}` makes all that is missing; or put a copy of the study's cache there",
            self.command("run")
        );
        Err(CliError::new(Kind::Cache, &message, Some(&hint)))
    }

    /// What a stage has written as the values of an axis, if it is up to date.
    fn written_values(&self, pending: &PendingAxis) -> Result<Option<String>, CliError> {
        let dag = &self.pipeline.graph.dag;
        let mut nodes = dag
            .node_indices()
            .filter(|index| dag[*index].stage == pending.stage);
        let (Some(index), None) = (nodes.next(), nodes.next()) else {
            return Ok(None);
        };
        let known = plan::known(&self.workspace(), &[index])?;
        let Some(manifest) = &known[index.index()] else {
            return Ok(None);
        };
        let artifact = manifest.outputs.get(&pending.output).ok_or_else(|| {
            let (stage, output) = (&pending.stage, &pending.output);
            let message = format!("stage `{stage}` has no output `{output}`");
            CliError::new(Kind::Spec, &message, None)
        })?;
        let Ok(path) = self.cache.blobs.verified(artifact.digest) else {
            return Ok(None);
        };
        let bytes = std::fs::read(&path).map_err(|e| EngineError::io("read", &path, e))?;
        let name = format!("{}:{}", dag[index].label(), pending.output);
        text_of(&name, bytes).map(Some)
    }

    /// The nodes of stages that write axes which are not known yet.
    pub(crate) fn writers(&self) -> Vec<NodeIndex> {
        let pending = &self.pipeline.pending;
        let dag = &self.pipeline.graph.dag;
        let writes = |index: &NodeIndex| pending.iter().any(|p| p.stage == dag[*index].stage);
        dag.node_indices().filter(writes).collect()
    }

    /// The graph with what it is resolved against.
    pub(crate) fn workspace(&self) -> Workspace<'_> {
        let outputs = self.pipeline.root.join("outputs");
        Workspace {
            graph: &self.pipeline.graph,
            cache: &self.cache,
            stats: &self.stats,
            seen: &self.seen,
            history: &self.history,
            outputs: match &self.pipeline.profile {
                Some(profile) if !self.pipeline.default_profile => outputs.join(profile),
                _ => outputs,
            },
        }
    }

    /// The name of the profile, for records.
    pub(crate) fn profile(&self) -> String {
        let profile = self.pipeline.profile.as_deref();
        profile.unwrap_or(NO_PROFILE).to_owned()
    }

    /// The nodes that selectors name; all nodes if there are none.
    pub(crate) fn select(&self, selectors: &[String]) -> Result<Vec<NodeIndex>, CliError> {
        let graph = &self.pipeline.graph;
        if selectors.is_empty() {
            return Ok(graph.dag.node_indices().collect());
        }
        graph.select(selectors).map_err(|message| {
            let waiting = &self.pipeline.waiting;
            let hint = (!waiting.is_empty()).then(|| {
                format!(
                    "these stages have no nodes before a run has written their axes: {}",
                    waiting.join(", ")
                )
            });
            CliError::new(Kind::Usage, &message, hint.as_deref())
        })
    }

    /// The nodes that a selection means.
    pub(crate) fn targets(&self, selection: &Selection) -> Result<Vec<NodeIndex>, CliError> {
        if !selection.only.is_empty() {
            return self.select(&selection.only);
        }
        let mut targets = self.select(&selection.selectors)?;
        let graph = &self.pipeline.graph;
        if !selection.until.is_empty() {
            targets = graph.ancestors(&self.select(&selection.until)?);
        }
        if !selection.from.is_empty() {
            let below = graph.descendants(&self.select(&selection.from)?);
            targets.retain(|index| below.contains(index));
        }
        if targets.is_empty() {
            let message = "no node lies between `--from` and `--until`";
            return Err(CliError::new(Kind::Usage, message, None));
        }
        Ok(targets)
    }

    /// The nodes of `--force`.
    pub(crate) fn forced(&self, selection: &Selection) -> Result<BTreeSet<NodeIndex>, CliError> {
        match selection.force.as_slice() {
            [] => Ok(BTreeSet::new()),
            selectors => Ok(self.select(selectors)?.into_iter().collect()),
        }
    }

    /// The one node that a selector names.
    pub(crate) fn single(&self, selector: &str) -> Result<NodeIndex, CliError> {
        match self.select(&[selector.to_owned()])?.as_slice() {
            [index] => Ok(*index),
            several => {
                let message = format!("`{selector}` is {} nodes, expected one", several.len());
                let first = self.pipeline.graph.dag[several[0]].label();
                let hint = format!("name one of them, such as `{first}`");
                Err(CliError::new(Kind::Usage, &message, Some(&hint)))
            }
        }
    }

    /// The manifest of a node, found without running anything.
    pub(crate) fn manifest(&self, index: NodeIndex) -> Result<Manifest, CliError> {
        let mut known = plan::known(&self.workspace(), &[index])?;
        known[index.index()].take().ok_or_else(|| {
            let node = self.pipeline.graph.dag[index].label();
            let message = format!("{node} is not up to date, so its outputs are not known");
            let hint = format!("`{} '{node}'` makes them", self.command("run"));
            CliError::new(Kind::Usage, &message, Some(&hint))
        })
    }
}

/// What a pipeline is asked for, as records say it.
fn asked(cache: &Cache, path: &Path, pipeline: &Pipeline, sets: &[(String, String)]) -> RunInfo {
    let profile = pipeline.profile.as_deref().unwrap_or(NO_PROFILE);
    let sets = sets.iter();
    RunInfo {
        file: Places::of_cache(cache.root()).name(path),
        profile: profile.to_owned(),
        overrides: sets
            .map(|(name, value)| (name.clone(), masked(value)))
            .collect(),
        ..RunInfo::default()
    }
}

/// The folder that `--cache` names, or `cache` beside the pipeline file.
fn cache_folder(args: &PipelineArgs) -> Result<PathBuf, CliError> {
    match &args.cache {
        Some(folder) => Ok(folder.clone()),
        None => Ok(folder_of(&args.file)?.join("cache")),
    }
}

/// Opens the cache that the arguments name.
pub(crate) fn open_cache(args: &PipelineArgs) -> Result<Cache, CliError> {
    let folder = cache_folder(args)?;
    Cache::open(&folder).map_err(|error| {
        let message = format!("the cache in {} cannot be used: {error}", folder.display());
        let hint = "make it a folder that you may write to, or name another one with --cache";
        CliError::new(Kind::Cache, &message, Some(hint))
    })
}

fn read_pipeline(path: &Path) -> Result<String, CliError> {
    let bytes = regular::read(path).map_err(|error| {
        let hint = "run cpipe in the folder of a pipeline.yaml, or name one with --file";
        CliError::new(Kind::Spec, &error.to_string(), Some(hint))
    })?;
    let name = path.display().to_string();
    text_of(&name, bytes)
}

fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, CliError> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let message = format!("{name} is not UTF-8 text (byte {at})");
        CliError::new(Kind::Spec, &message, None)
    })
}

fn folder_of(path: &Path) -> Result<PathBuf, CliError> {
    let absolute = std::path::absolute(path).map_err(|e| {
        CliError::new(
            Kind::Cache,
            &format!("cannot find {}: {e}", path.display()),
            None,
        )
    })?;
    Ok(absolute.parent().unwrap_or(Path::new("/")).to_owned())
}
