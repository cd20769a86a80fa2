//! What every command starts from: the pipeline, its cache, and where outputs go.

use std::path::{Path, PathBuf};

use cpipe_engine::Cache;
use cpipe_engine::cache::StatCache;
use cpipe_engine::plan::{Latest, Workspace};
use cpipe_engine::spec::{self, Options, Pipeline};
use petgraph::graph::NodeIndex;

use crate::cli::PipelineArgs;
use crate::error::{CliError, Kind};
use crate::registry::Stages;
use crate::sources;

/// An opened pipeline.
pub(crate) struct Session {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) pipeline: Pipeline,
    pub(crate) cache: Cache,
    pub(crate) stats: StatCache,
    pub(crate) latest: Latest,
}

impl Session {
    /// Reads the pipeline file, reports all its errors, and opens the cache.
    pub(crate) fn open(args: &PipelineArgs) -> Result<Self, CliError> {
        let path = args.file.clone();
        let text = read_pipeline(&path)?;
        let root = folder_of(&path)?;
        let options = Options {
            profile: args.profile.clone(),
            sets: args.sets.clone(),
            lock: sources::read_lock(&root)?,
            ..Options::default()
        };
        let cache = open_cache(args)?;
        let stages = Stages {
            downloads: cache.downloads(),
        };
        let pipeline = spec::load(&root, &text, &options, &stages)
            .map_err(|errors| CliError::spec(&path, &text, &errors))?;
        let stats = StatCache::open(cache.root(), args.rehash);
        let profile = pipeline.profile.as_deref().unwrap_or("default");
        let latest = Latest::open(&cache, profile);
        Ok(Self {
            path,
            text,
            pipeline,
            cache,
            stats,
            latest,
        })
    }

    /// The graph with what it is resolved against.
    pub(crate) fn workspace(&self) -> Workspace<'_> {
        let outputs = self.pipeline.root.join("outputs");
        Workspace {
            graph: &self.pipeline.graph,
            cache: &self.cache,
            stats: &self.stats,
            latest: &self.latest,
            outputs: match &self.pipeline.profile {
                Some(profile) if !self.pipeline.default_profile => outputs.join(profile),
                _ => outputs,
            },
        }
    }

    /// The nodes that selectors name; all nodes if there are none.
    pub(crate) fn select(&self, selectors: &[String]) -> Result<Vec<NodeIndex>, CliError> {
        let graph = &self.pipeline.graph;
        if selectors.is_empty() {
            return Ok(graph.dag.node_indices().collect());
        }
        graph
            .select(selectors)
            .map_err(|message| CliError::new(Kind::Usage, &message, None))
    }
}

/// Opens the cache that the arguments name.
pub(crate) fn open_cache(args: &PipelineArgs) -> Result<Cache, CliError> {
    let folder = match &args.cache {
        Some(folder) => folder.clone(),
        None => folder_of(&args.file)?.join("cache"),
    };
    Ok(Cache::open(&folder)?)
}

fn read_pipeline(path: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(path).map_err(|e| {
        let message = format!("cannot read {}: {e}", path.display());
        let hint = "run cpipe in the folder of a pipeline.yaml, or name one with --file";
        CliError::new(Kind::Spec, &message, Some(hint))
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let message = format!("{} is not UTF-8 text (byte {at})", path.display());
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
