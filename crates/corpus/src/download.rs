use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Roles, SourceFile, Stage, StageContext, StageError,
    StageId,
};
use serde_json::{Value, json};

/// Brings a named source into the cache: output `files`, a folder with its files.
///
/// Its key is the source's declared digest, which the engine checks before and after.
#[derive(Clone, Debug)]
pub struct Download {
    source: SourceFile,
}

impl Download {
    /// The download of one resolved source.
    pub fn new(source: SourceFile) -> Self {
        Self { source }
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
        vec![self.source.clone()]
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let folder = outputs.path("files");
        let mut report = Report::default();
        for (name, path) in inputs.sources.values().flatten() {
            context.check_cancelled()?;
            let target = folder.join(name);
            let parent = target.parent().unwrap_or(&folder);
            fs_err::create_dir_all(parent).map_err(|e| StageError::io(parent, e))?;
            reflink_copy::reflink_or_copy(path, &target).map_err(|e| StageError::io(path, e))?;
            if let Some(digest) = inputs.hashed.get(path) {
                report.digests.insert(format!("files/{name}"), *digest);
            }
        }
        Ok(report)
    }
}
