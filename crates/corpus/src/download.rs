use std::path::{Path, PathBuf};

use cpipe_engine::spec::SourceEntry;
use cpipe_engine::stage::{
    Fetch, Inputs, OutputDir, OutputSpec, Report, Roles, SourceFile, Stage, StageContext,
    StageError, StageId,
};
use serde_json::{Value, json};

use crate::fetch::Fetcher;

/// Name of the input, the same for all sources.
const SOURCE: &str = "source";

/// Brings a named source into the cache: output `files`, a folder with its files.
///
/// Its key is the source's declared or locked digest: of a local file the engine checks it before
/// and after, of a remote one this stage does.
#[derive(Clone, Debug)]
pub struct Download {
    name: String,
    entry: SourceEntry,
    downloads: PathBuf,
}

impl Download {
    /// The download of the source called `name`. Remote files arrive below the folder `downloads`.
    pub fn new(name: String, entry: SourceEntry, downloads: &Path) -> Self {
        Self {
            name,
            entry,
            downloads: downloads.to_owned(),
        }
    }

    fn fetch(&self, folder: &Path, context: &StageContext<'_>) -> Result<Report, StageError> {
        let progress = |done: u64, total: u64| (context.progress)(done, total.max(done), "bytes");
        let fetcher = Fetcher::new(self.downloads.clone(), context.cancelled, &progress);
        fetcher.fetch(&self.entry, folder)?;
        Ok(Report::default())
    }
}

impl Stage for Download {
    fn id(&self) -> StageId {
        StageId {
            name: "download".into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        json!({})
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![OutputSpec::dir("files")]
    }

    fn sources(&self) -> Vec<SourceFile> {
        let source = self.entry.path().map(|path| SourceFile {
            name: SOURCE.to_owned(),
            path: path.to_owned(),
            pin: self.entry.pin.clone(),
            keeps_name: true,
        });
        source.into_iter().collect()
    }

    fn fetches(&self) -> Vec<Fetch> {
        let fetch = || Fetch {
            name: SOURCE.to_owned(),
            source: self.name.clone(),
            pin: self.entry.pin.clone(),
        };
        let is_local = self.entry.path().is_some();
        if is_local { Vec::new() } else { vec![fetch()] }
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let folder = outputs.path("files");
        if self.entry.path().is_none() {
            return self.fetch(&folder, context);
        }
        let mut report = Report::default();
        for files in inputs.sources.values() {
            files.place_below(&folder)?;
            for (name, path) in files.by_name() {
                if let Some(digest) = inputs.hashed.get(path) {
                    report.digests.insert(format!("files/{name}"), *digest);
                }
            }
        }
        Ok(report)
    }
}
