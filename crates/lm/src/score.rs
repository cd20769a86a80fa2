//! The `score` stage: tokens and weights in, bits per chunk out.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cpipe_data::FormatError;
use cpipe_data::scores;
use cpipe_data::tokens::{TokenSet, TokenizedChunk};
use cpipe_engine::stage::{OutputSpec, Role, Roles};
use cpipe_engine::{
    Inputs, OutputDir, Report, Resources, Stage, StageContext, StageError, StageId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::journal::Journal;
use crate::{LmError, Model, Plan, Protocol, WindowScore, kernels, model_cache};

/// Number format of the computation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats, whatever the weights are stored in.
    #[default]
    F32,
}

/// Parameters of `score`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreParams {
    /// Protocols to score by, in the order of the output's rows; at least one, each once.
    #[serde(default = "default_protocols")]
    pub protocols: Vec<Protocol>,
    /// Number format of the computation.
    #[serde(default)]
    pub dtype: Dtype,
}

fn default_protocols() -> Vec<Protocol> {
    vec![Protocol::Paper, Protocol::Full, Protocol::Deepmind]
}

impl Default for ScoreParams {
    fn default() -> Self {
        Self {
            protocols: default_protocols(),
            dtype: Dtype::default(),
        }
    }
}

/// Scores tokens with a language model.
pub struct Score(ScoreParams);

impl Score {
    /// Checks the parameters.
    ///
    /// # Errors
    /// The parameter and what is wrong with it.
    pub fn new(params: ScoreParams) -> Result<Self, (String, String)> {
        let fail = |message: String| Err(("protocols".to_owned(), message));
        let protocols = &params.protocols;
        if protocols.is_empty() {
            return fail("at least one protocol is needed".into());
        }
        for (i, protocol) in protocols.iter().enumerate() {
            if protocols[..i].contains(protocol) {
                return fail(format!("`{}` is named twice", protocol.name()));
            }
        }
        Ok(Self(params))
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
        let model = model_cache::get(digest, files)?;
        let plan = Plan::new(&self.0.protocols, &tokens, model.context())?;
        let job = format!("{digest} {:?} {}", self.0, plan.windows().len());
        let path = context.scratch.join("windows.jsonl");
        let (journal, known) = Journal::open(&path, &job, plan.windows().len())?;
        let scores = run_windows(&model, &tokens, &plan, known, Some(journal), context)?;
        scores::write(
            &outputs.path("scores.parquet"),
            &plan.rows(&tokens, &scores),
        )
        .map_err(LmError::from)?;
        write_facts(&outputs.path("model.json"), &model)?;
        Ok(report(&scores, context.threads))
    }
}

fn write_facts(path: &Path, model: &Model) -> Result<(), LmError> {
    let mut text = serde_json::to_vec_pretty(&model.facts()).expect("facts are plain data");
    text.push(b'\n');
    fs_err::write(path, text).map_err(|e| FormatError::io(path, e).into())
}

fn report(scores: &[WindowScore], threads: usize) -> Report {
    let tokens: u64 = scores.iter().map(|s| s.tokens + s.nan).sum();
    Report::new(
        [
            ("device", json!("cpu")),
            ("dtype", json!("f32")),
            ("isa", json!(kernels::isa())),
            ("threads", json!(threads)),
            ("tokens", json!(tokens)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

impl Stage for Score {
    fn id(&self) -> StageId {
        StageId {
            name: "score".into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
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
        Resources::any_cores()
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

/// Scores every window of `plan` with `context.threads` threads; gives one score per window.
///
/// A window is computed by one thread alone, so the result does not depend on their number.
pub fn score_windows(
    model: &Model,
    tokens: &TokenSet,
    plan: &Plan,
    context: &StageContext<'_>,
) -> Result<Vec<WindowScore>, LmError> {
    let known = vec![None; plan.windows().len()];
    run_windows(model, tokens, plan, known, None, context)
}

fn run_windows(
    model: &Model,
    tokens: &TokenSet,
    plan: &Plan,
    known: Vec<Option<WindowScore>>,
    journal: Option<Journal>,
    context: &StageContext<'_>,
) -> Result<Vec<WindowScore>, LmError> {
    let size = |i: usize| plan.windows()[i].scored().len() as u64;
    let todo: Vec<usize> = (0..known.len()).filter(|i| known[*i].is_none()).collect();
    let total = (0..known.len()).map(size).sum();
    let done = total - todo.iter().map(|i| size(*i)).sum::<u64>();
    let work = Work {
        model,
        plan,
        chunks: tokens.iter().collect(),
        end_of_text: tokens.header().end_of_text,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        ledger: Mutex::new(Ledger {
            scores: known,
            journal,
            done,
            total,
        }),
        context,
        todo,
    };
    work.run()?;
    let ledger = work
        .ledger
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let scores = ledger.scores.into_iter();
    Ok(scores
        .map(|s| s.expect("every window was scored"))
        .collect())
}

/// What the threads write to.
struct Ledger {
    scores: Vec<Option<WindowScore>>,
    journal: Option<Journal>,
    done: u64,
    total: u64,
}

/// What the threads share.
struct Work<'a> {
    model: &'a Model,
    plan: &'a Plan,
    chunks: Vec<TokenizedChunk<'a>>,
    end_of_text: Option<u32>,
    /// Indices of the windows that are not scored yet.
    todo: Vec<usize>,
    /// Position in `todo` that is claimed next.
    next: AtomicUsize,
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
    context: &'a StageContext<'a>,
}

impl Work<'_> {
    fn run(&self) -> Result<(), LmError> {
        let threads = self.context.threads.clamp(1, self.todo.len().max(1));
        let mut results = Vec::new();
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| self.work())).collect();
            results.push(self.work());
            for other in others {
                results.push(
                    other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                );
            }
        });
        results.into_iter().collect()
    }

    /// Claims and scores windows until none is left or a thread fails.
    fn work(&self) -> Result<(), LmError> {
        while !self.stop.load(Ordering::Relaxed) {
            let Some(index) = self.todo.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            if let Err(error) = self.score(*index) {
                self.stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    fn score(&self, index: usize) -> Result<(), LmError> {
        if (self.context.cancelled)() {
            return Err(LmError::Cancelled);
        }
        let window = &self.plan.windows()[index];
        let chunk = &self.chunks[window.chunk];
        let log_probs = self.model.log_probs(&window.ids(chunk, self.end_of_text))?;
        self.record(
            index,
            window.score(chunk, &log_probs),
            log_probs.len() as u64,
        )
    }

    fn record(&self, index: usize, score: WindowScore, tokens: u64) -> Result<(), LmError> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(journal) = &mut ledger.journal {
            journal.append(index, &score)?;
        }
        ledger.scores[index] = Some(score);
        ledger.done += tokens;
        let (done, total) = (ledger.done, ledger.total);
        (self.context.progress)(done, total, "tokens");
        Ok(())
    }
}
