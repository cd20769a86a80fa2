//! The `score` stage: tokens and weights in, bits per chunk out.

use std::collections::BTreeSet;
use std::path::Path;

use cpipe_data::FormatError;
use cpipe_data::scores::{self, ChunkScore};
use cpipe_data::tokens::TokenSet;
use cpipe_engine::stage::{OutputSpec, Role, Roles};
use cpipe_engine::{
    Inputs, OutputDir, Report, Resources, Stage, StageContext, StageError, StageId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::place::{self, DeviceClass, Place};
use crate::work::{self, Journaled};
use crate::{LmError, Model, Plan, Preset, Protocol, kernels, model_cache};

/// Number format of the computation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats, whatever the weights are stored in.
    #[default]
    F32,
    /// Products of bfloat16 numbers with sums in f32; needs a card.
    Bf16,
    /// Products of half-precision numbers with sums in f32; needs a card.
    F16,
}

impl Dtype {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Bytes of a number.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }
}

/// Parameters of `score`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreParams {
    /// Protocols to score by, in the order of the output's rows; at least one, each name once.
    #[serde(default = "default_protocols")]
    pub protocols: Vec<Protocol>,
    /// Number format of the computation.
    #[serde(default)]
    pub dtype: Dtype,
    /// Keys of config.json or of GGUF metadata, and tensors, that the model is scored without, as if its
    /// files did not have them. A name that a model does not have changes nothing.
    #[serde(default)]
    pub ignore: BTreeSet<String>,
}

fn default_protocols() -> Vec<Protocol> {
    Preset::ALL.map(Protocol::from).to_vec()
}

impl Default for ScoreParams {
    fn default() -> Self {
        Self {
            protocols: default_protocols(),
            dtype: Dtype::default(),
            ignore: BTreeSet::new(),
        }
    }
}

/// Scores tokens with a language model.
pub struct Score {
    params: ScoreParams,
    class: DeviceClass,
}

impl Score {
    /// Checks the parameters; `class` is the kind of device that the run was given.
    ///
    /// # Errors
    /// The parameter and what is wrong with it.
    pub fn new(params: ScoreParams, class: DeviceClass) -> Result<Self, (String, String)> {
        let fail = |at: String, message: String| Err((at, message));
        let protocols = &params.protocols;
        if protocols.is_empty() {
            return fail("protocols".into(), "at least one protocol is needed".into());
        }
        for (i, protocol) in protocols.iter().enumerate() {
            let name = protocol.name();
            if protocols[..i].iter().any(|p| p.name() == name) {
                return fail(format!("protocols.{i}"), format!("`{name}` is named twice"));
            }
            if let Err((part, message)) = protocol.rules().check() {
                return fail(format!("protocols.{i}.{name}.{part}"), message);
            }
        }
        // Formats of 16 bits are computed on cards only, so whoever has none still finds the results.
        let class = match params.dtype {
            Dtype::F32 => class,
            Dtype::Bf16 | Dtype::F16 => DeviceClass::Cuda,
        };
        Ok(Self { params, class })
    }

    fn score(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let tokens =
            TokenSet::read(inputs.one("tokens")?.file("tokens.bin")?).map_err(LmError::from)?;
        let weights = inputs.one("weights")?;
        let files = weights.dir("files")?;
        let digest = weights.outputs["files"].digest;
        let place = Place::take(self.params.dtype)?;
        context.check_cancelled()?;
        let ScoreParams { dtype, ignore, .. } = &self.params;
        let model = model_cache::get(digest, files, &place, *dtype, ignore)?;
        let plan = Plan::new(&self.params.protocols, &tokens, model.shape())?;
        model.check(&plan)?;
        let job = format!("{digest} {}", self.params());
        let scratch = context.scratch;
        fs_err::create_dir_all(scratch).map_err(|e| LmError::io(scratch, e))?;
        let path = scratch.join("windows.log");
        let journaled = Journaled::open(&path, &job, &plan)?;
        let alone = model.alone(&place);
        let mut rows = work::score_chunks(&model, &tokens, &plan, Some(journaled), context)?;
        drop(alone);
        self.sort(&mut rows);
        scores::write(&outputs.path("scores.parquet"), &rows).map_err(LmError::from)?;
        write_facts(&outputs.path("model.json"), &model)?;
        Ok(report(&rows, &model, context.threads))
    }

    /// By protocol in the order of the parameters, then by chunk.
    fn sort(&self, rows: &mut [ChunkScore]) {
        let place = |row: &ChunkScore| {
            self.params
                .protocols
                .iter()
                .position(|p| p.name() == row.protocol)
        };
        rows.sort_by_key(|row| (place(row), row.chunk));
    }
}

fn write_facts(path: &Path, model: &Model) -> Result<(), LmError> {
    let mut text = serde_json::to_vec_pretty(&model.facts()).expect("facts are plain data");
    text.push(b'\n');
    fs_err::write(path, text).map_err(|e| FormatError::io(path, e).into())
}

fn report(rows: &[ChunkScore], model: &Model, threads: usize) -> Report {
    let sum = |of: fn(&ChunkScore) -> u64| json!(rows.iter().map(of).sum::<u64>());
    let mut facts = match model.card() {
        None => vec![
            ("device", json!("cpu")),
            ("isa", json!(kernels::isa())),
            ("threads", json!(threads)),
        ],
        Some(card) => vec![
            ("device", json!("cuda")),
            ("card", json!(card.name)),
            ("driver", json!(card.driver)),
            ("compute_capability", json!(card.capability)),
            ("card_bytes", json!(card.bytes)),
            // What overflows on a card comes out as NaN.
            ("nan", sum(|row| row.nan)),
        ],
    };
    facts.push(("dtype", json!(model.facts().dtype)));
    facts.push(("tokens", sum(|row| row.tokens_scored + row.nan)));
    Report::new(
        facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    )
}

impl Stage for Score {
    fn id(&self) -> StageId {
        StageId {
            name: "score".into(),
            version: 3,
        }
    }

    fn params(&self) -> Value {
        let mut params = serde_json::to_value(&self.params).expect("parameters are plain data");
        if self.class == DeviceClass::Cuda {
            params["device"] = self.class.name().into();
        }
        params
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[
            Role {
                name: "tokens",
                many: false,
            },
            Role {
                name: "weights",
                many: false,
            },
        ])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![
            OutputSpec::file("scores.parquet"),
            OutputSpec::file("model.json"),
        ]
    }

    fn resources(&self) -> Resources {
        Resources {
            max_threads: place::threads(),
        }
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        self.score(inputs, outputs, context)
    }
}
