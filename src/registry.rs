//! Stage kind in the spec → implementation: the only match over all kinds.

use std::path::PathBuf;
use std::sync::Arc;

use cpipe_analysis::aggregate::{Aggregate, AggregateParams};
use cpipe_analysis::baselines::{Baselines, BaselinesParams};
use cpipe_analysis::claims::{Verify, VerifyParams};
use cpipe_analysis::fit::{Fit, FitParams};
use cpipe_analysis::plot::{Plot, PlotParams};
use cpipe_analysis::published::{Table, TableParams};
use cpipe_corpus::{Chunk, ChunkParams, Download};
use cpipe_engine::Stage;
use cpipe_engine::command::{Command, CommandParams};
use cpipe_engine::spec::{Params, Registry, SpecError};
use cpipe_engine::stage::SourceFile;
use cpipe_lm::{
    Baseline, BaselineParams, DeviceClass, Score, ScoreParams, Tokenize, TokenizeParams,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

/// Every kind of stage that this binary knows.
pub(crate) struct Stages {
    /// Where remote files arrive.
    pub(crate) downloads: PathBuf,
    /// The kind of device that models compute on.
    pub(crate) device: DeviceClass,
}

const KINDS: &[&str] = &[
    "download",
    "chunk",
    "tokenize",
    "score",
    "baseline",
    "aggregate",
    "table",
    "baselines",
    "fit",
    "plot",
    "verify",
    "command",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DownloadParams {
    source: String,
}

/// The parameters of each kind as JSON Schema.
pub(crate) fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    let mut of = |kind: &'static str| {
        let schema = match kind {
            "download" => generator.subschema_for::<DownloadParams>(),
            "chunk" => generator.subschema_for::<ChunkParams>(),
            "tokenize" => generator.subschema_for::<TokenizeParams>(),
            "score" => generator.subschema_for::<ScoreParams>(),
            "baseline" => generator.subschema_for::<BaselineParams>(),
            "baselines" => generator.subschema_for::<BaselinesParams>(),
            "aggregate" => generator.subschema_for::<AggregateParams>(),
            "table" => generator.subschema_for::<TableParams>(),
            "fit" => generator.subschema_for::<FitParams>(),
            "plot" => generator.subschema_for::<PlotParams>(),
            "verify" => generator.subschema_for::<VerifyParams>(),
            "command" => generator.subschema_for::<CommandParams>(),
            other => unreachable!("`{other}` is not in KINDS"),
        };
        (kind, schema)
    };
    KINDS.iter().map(|kind| of(kind)).collect()
}

impl Registry for Stages {
    fn kinds(&self) -> &[&'static str] {
        KINDS
    }

    fn build(&self, kind: &str, params: Params<'_>) -> Result<Arc<dyn Stage>, SpecError> {
        let refused = |(field, message): (String, String)| params.invalid(&field, message);
        Ok(match kind {
            "download" => {
                let name = params.parse::<DownloadParams>()?.source;
                let entry = params.source("source", &name)?.clone();
                Arc::new(Download::new(name, entry, &self.downloads))
            }
            "chunk" => Arc::new(Chunk::new(params.parse()?).map_err(refused)?),
            "tokenize" => Arc::new(Tokenize::new(params.parse()?).map_err(refused)?),
            "score" => Arc::new(Score::new(params.parse()?, self.device).map_err(refused)?),
            "baseline" => Arc::new(Baseline::new(params.parse()?).map_err(refused)?),
            "baselines" => {
                let BaselinesParams {} = params.parse()?;
                Arc::new(Baselines)
            }
            "aggregate" => Arc::new(Aggregate::new(params.parse()?).map_err(refused)?),
            "table" => {
                let table: TableParams = params.parse()?;
                let source = params.local_source("source", &table.source)?;
                Arc::new(Table::new(table, source).map_err(refused)?)
            }
            "fit" => Arc::new(Fit::new(params.parse()?).map_err(refused)?),
            "plot" => Arc::new(Plot::new(params.parse()?).map_err(refused)?),
            "verify" => {
                let verify: VerifyParams = params.parse()?;
                let table = |(name, source): (&String, &String)| {
                    let source = params.local_source(&format!("tables.{name}"), source)?;
                    let name = name.clone();
                    Ok(SourceFile { name, ..source })
                };
                let sources: Result<_, SpecError> = verify.tables.iter().map(table).collect();
                Arc::new(Verify::new(verify, sources?).map_err(refused)?)
            }
            "command" => Arc::new(Command::new(params.parse()?, params.root()).map_err(refused)?),
            other => return Err(params.invalid("", format!("unknown stage kind `{other}`"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cpipe_engine::spec::{self, Options};

    use super::*;

    /// What a score stage with these protocols is refused for, and the text that the error points at.
    fn refused(protocols: &str) -> (String, String) {
        let text = format!(
            "version: 1\nname: x\nsources:\n  s: {{ path: Cargo.toml }}\nstages:\n  d:\n    \
             run: {{ download: {{ source: s }} }}\n  score:\n    needs: {{ tokens: d, weights: d }}\n    \
             run: {{ score: {{ protocols: {protocols} }} }}\n"
        );
        let stages = Stages {
            downloads: PathBuf::new(),
            device: DeviceClass::Cpu,
        };
        let loaded = spec::load(Path::new("."), &text, &Options::default(), &stages);
        let error = loaded.err().and_then(|errors| errors.into_iter().next());
        let error = error.expect("the protocols are refused");
        let place = error.span.map_or("", |span| &text[span]);
        (error.message, place.to_owned())
    }

    #[test]
    fn errors_in_protocols_point_at_what_is_wrong() {
        for (protocols, message, place) in [
            ("[paper, ful]", "unknown value `ful`", "ful"),
            ("[{ mine: { flor: 1 } }]", "unknown key `flor`", "flor"),
            ("[{ paper: {} }]", "is a preset", "paper"),
            ("[{ mine: { floor: 2.0 } }]", "2 is not between", "2.0"),
            ("[full, full]", "named twice", "full"),
        ] {
            let (found, at) = refused(protocols);
            assert!(found.contains(message), "{protocols}: {found}");
            assert_eq!(at, place, "{protocols}");
        }
    }
}
