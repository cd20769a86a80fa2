//! A language model from its files: whatever the architecture, windows of tokens in, the log-probability
//! of each token in its context out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use cpipe_data::scores::ModelFacts;
use serde_json::Value;

use crate::batch::{LogProbs, Rows, Submitted};
use crate::cuda::Loaded;
use crate::kernels::{Matrix, target_log_probs};
use crate::keys::{COMMON, Keys, Known};
use crate::place::Place;
use crate::weights::{Tensors, Weights};
use crate::{Dtype, LmError, ModelShape, Plan, Sequence, gpt_neox, gpt2, llama, mamba};

/// All of an architecture but the output layer.
pub(crate) trait Body: Send + Sync {
    /// Hidden states after the last layer, a row for each id. `windows` are the rows that belong
    /// together; a row sees those before it in its window.
    fn hidden(&self, ids: &[u32], windows: &[Range<usize>]) -> Vec<f32>;

    /// What stands between the last layer and the output layer.
    fn final_norm(&self, out: &mut [f32], hidden: &[f32]);

    /// The layers, if cards have kernels for them.
    fn for_card(&self) -> Option<&gpt_neox::GptNeox> {
        None
    }
}

/// What an architecture makes of a model's config and tensors.
pub(crate) struct Built {
    pub(crate) body: Box<dyn Body>,
    /// A row for each entry of the vocabulary.
    pub(crate) output: Matrix,
    /// Positions that the model was built for.
    pub(crate) context: usize,
    /// The last positions that one was built to see, if not all.
    pub(crate) window: Option<usize>,
    /// Elements of the embedding matrices.
    pub(crate) embedded: u64,
}

type Builder = fn(&mut Config<'_>, &mut Tensors<'_>) -> Result<Built, LmError>;

/// Every architecture: its name in config.json, the `model_type` that goes with it, and what makes it.
const ARCHITECTURES: [(&str, &str, Builder); 7] = [
    (gpt_neox::ARCHITECTURE, "gpt_neox", gpt_neox::build),
    ("LlamaForCausalLM", "llama", llama::build),
    ("MistralForCausalLM", "mistral", llama::build),
    ("Qwen2ForCausalLM", "qwen2", llama::build),
    ("MixtralForCausalLM", "mixtral", llama::build),
    ("GPT2LMHeadModel", "gpt2", gpt2::build),
    ("MambaForCausalLM", "mamba", mamba::build),
];

/// A config that names a known architecture, in the words of Hugging Face's config.json.
pub(crate) struct Config<'p> {
    pub(crate) architecture: &'static str,
    file: &'p str,
    keys: Keys,
}

impl Config<'_> {
    /// What `read` makes of its keys. None may be left that is not among those that do not matter: `known`
    /// of the architecture, and those that all have in common.
    pub(crate) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Keys) -> Result<T, String>,
        known: &[Known],
    ) -> Result<T, LmError> {
        let parts = read(&mut self.keys);
        let whole = parts.and_then(|parts| self.keys.finish(&[known, COMMON]).map(|()| parts));
        whole.map_err(|reason| LmError::bad_file(self.file, reason))
    }
}

/// A language model that computes in f32 on the CPU, or on a card.
///
/// Weights stay memory-mapped in their stored format. One call works on one batch with one thread;
/// calls from several threads share the weights.
pub struct Model {
    body: Box<dyn Body>,
    output: Matrix,
    facts: ModelFacts,
    window: Option<usize>,
    card: Option<Loaded>,
}

/// The card that a model computes on.
#[derive(Clone, Debug)]
pub struct CardFacts {
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// The driver's version.
    pub driver: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// The most bytes that the model has had there.
    pub bytes: usize,
    /// Seconds of the card for each part of the model's work so far: `upload`, `forward`,
    /// `output layer`, `copy back`, and `idle` between batches.
    pub seconds: BTreeMap<String, f64>,
}

impl Model {
    /// Loads a model from files by name: `config.json` with `model.safetensors`, with the shards that
    /// `model.safetensors.index.json` names, or without either the same of `pytorch_model.bin`; or one
    /// `.gguf` file.
    pub fn load(files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        Self::load_without(files, &BTreeSet::new())
    }

    /// The same, as if the files did not have the keys and tensors to ignore.
    fn load_without(
        files: &BTreeMap<String, PathBuf>,
        ignore: &BTreeSet<String>,
    ) -> Result<Self, LmError> {
        let weights = Weights::open(files)?;
        let (file, mut keys) = weights.config(ignore)?;
        let found = find(&mut keys).map_err(|reason| LmError::bad_file(file, reason))?;
        let (architecture, build) = found;
        let mut config = Config {
            architecture,
            file,
            keys,
        };
        let mut tensors = weights.tensors(ignore)?;
        let built = build(&mut config, &mut tensors)?;
        let params_total = tensors.elements();
        tensors.finish()?;
        Ok(Self {
            facts: ModelFacts {
                architecture: architecture.into(),
                params_total,
                params_non_embedding: params_total - built.embedded,
                context: built.context as u64,
                vocabulary: built.output.rows() as u64,
                dtype: "f32".into(),
            },
            body: built.body,
            output: built.output,
            window: built.window,
            card: None,
        })
    }

    /// Loads a model to where it is to compute; it stays on the CPU if its architecture has no kernels
    /// for cards and none was asked for.
    pub(crate) fn load_at(
        files: &BTreeMap<String, PathBuf>,
        place: &Place,
        dtype: Dtype,
        ignore: &BTreeSet<String>,
    ) -> Result<Self, LmError> {
        let model = Self::load_without(files, ignore)?;
        match place {
            Place::Cpu => Ok(model),
            Place::Card { slot, asked } => model.bring_to(slot.number(), *asked, dtype),
        }
    }

    fn bring_to(mut self, number: usize, asked: bool, dtype: Dtype) -> Result<Self, LmError> {
        let Some(layers) = self.body.for_card() else {
            if !asked {
                return Place::cpu(dtype).map(|_| self);
            }
            let (name, known) = (&self.facts.architecture, gpt_neox::ARCHITECTURE);
            return Err(LmError::Device(format!(
                "{name} has no kernels for cards, only {known} has: use `--device cpu`"
            )));
        };
        self.card = Some(Loaded::new(number, layers, &self.output, dtype)?);
        dtype.name().clone_into(&mut self.facts.dtype);
        Ok(self)
    }

    /// Loads a model from a folder to the CPU.
    pub fn load_dir(dir: &Path) -> Result<Self, LmError> {
        Self::load(&files_of(dir)?)
    }

    /// Loads a model from a folder to where [`crate::use_device`] says that it computes.
    pub fn load_dir_there(dir: &Path, dtype: Dtype) -> Result<Self, LmError> {
        let place = Place::take(dtype)?;
        Self::load_at(&files_of(dir)?, &place, dtype, &BTreeSet::new())
    }

    /// What identifies the model beside its scores.
    pub fn facts(&self) -> ModelFacts {
        self.facts.clone()
    }

    /// What a card would be given, if its architecture has kernels.
    #[cfg(test)]
    pub(crate) fn parts_for_card(&self) -> Option<(&gpt_neox::GptNeox, &Matrix)> {
        Some((self.body.for_card()?, &self.output))
    }

    /// The card that it computes on, if it is one.
    pub fn card(&self) -> Option<CardFacts> {
        self.card.as_ref().map(Loaded::facts)
    }

    /// Seconds that the card spends on each of its kernels and products (`product INNER x WIDTH`) for this
    /// batch; none on the CPU.
    ///
    /// # Errors
    /// As [`Model::log_probs`].
    pub fn time_kernels(&self, batch: &[Sequence]) -> Result<BTreeMap<String, f64>, LmError> {
        match &self.card {
            None => Ok(BTreeMap::new()),
            Some(card) => card.details(|| self.log_probs(batch).map(drop)),
        }
    }

    /// Positions that a batch has at most, if no window has more.
    pub(crate) fn batch_positions(&self) -> usize {
        self.card.as_ref().map_or(2048, Loaded::tokens)
    }

    /// Threads that can work with it at once.
    pub(crate) fn feeders(&self) -> usize {
        if self.card.is_some() { 1 } else { usize::MAX }
    }

    /// Batches that are worth asking for before the results of an earlier one are looked at.
    pub(crate) fn ahead(&self) -> usize {
        usize::from(self.card.is_some())
    }

    /// Waits until its card computes for nobody else, and keeps others from it.
    pub(crate) fn alone<'p>(&self, place: &'p Place) -> Option<MutexGuard<'p, ()>> {
        match place {
            Place::Card { slot, .. } if self.card.is_some() => Some(slot.compute()),
            _ => None,
        }
    }

    /// What a plan has to know of the model.
    pub fn shape(&self) -> ModelShape {
        ModelShape {
            context: self.facts.context as usize,
            vocabulary: self.facts.vocabulary,
        }
    }

    /// Refuses a plan with windows in which the model would not see all positions.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), LmError> {
        let ids = |window: &crate::Window| window.range.len() + usize::from(window.prefixed);
        let longest = plan.windows().iter().map(ids).max();
        longest.map_or(Ok(()), |ids| self.check_reach(ids))
    }

    /// Whether each of so many ids but the last, which is not an input, is seen by all after it.
    fn check_reach(&self, ids: usize) -> Result<(), LmError> {
        match self.window {
            Some(window) if ids > window + 1 => Err(LmError::Tokens(format!(
                "`sliding_window` of the model is {window}, so it sees the last {window} positions, and windows of {} \
                 positions are scored, expected at most {window}: score shorter chunks or windows; or score it as if \
                 it saw all of them, with `ignore: [sliding_window]` (by the key's name in the file) of the stage `score`",
                ids - 1
            ))),
            _ => Ok(()),
        }
    }

    /// Natural log-probabilities of each sequence's targets, each given all ids before it.
    ///
    /// # Errors
    /// When there are more ids than the context has positions, or the model sees fewer at once, or an id is
    /// outside the vocabulary.
    pub fn log_probs(&self, batch: &[Sequence]) -> Result<Vec<Vec<f32>>, LmError> {
        self.submit(batch)?.wait()
    }

    /// Asks for the same; a card goes on computing while others wait.
    pub(crate) fn submit(&self, batch: &[Sequence]) -> Result<Submitted, LmError> {
        for sequence in batch {
            self.shape().check(sequence)?;
            self.check_reach(sequence.ids.len())?;
        }
        let rows = Rows::new(batch.iter().filter(|s| !s.targets().is_empty()));
        Ok(Submitted {
            counts: batch.iter().map(|s| s.targets().len()).collect(),
            log_probs: self.begin(&rows)?,
        })
    }

    fn begin(&self, rows: &Rows) -> Result<LogProbs, LmError> {
        match &self.card {
            _ if rows.targets.is_empty() => Ok(LogProbs::Ready(Vec::new())),
            Some(card) => card.submit(rows).map(LogProbs::Later),
            None => Ok(LogProbs::Ready(self.score(rows))),
        }
    }

    fn score(&self, rows: &Rows) -> Vec<f32> {
        let x = self.body.hidden(&rows.ids, &rows.windows);
        let width = self.output.columns();
        let mut hidden = Vec::with_capacity(rows.targets.len() * width);
        for span in &rows.scored {
            hidden.extend_from_slice(&x[span.start * width..span.end * width]);
        }
        let mut normed = vec![0.0; hidden.len()];
        self.body.final_norm(&mut normed, &hidden);
        target_log_probs(&normed, &self.output, &rows.targets)
    }
}

/// The files of a folder by name.
fn files_of(dir: &Path) -> Result<BTreeMap<String, PathBuf>, LmError> {
    let mut files = BTreeMap::new();
    for entry in fs_err::read_dir(dir).map_err(|e| LmError::io(dir, e))? {
        let entry = entry.map_err(|e| LmError::io(dir, e))?;
        files.insert(
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        );
    }
    Ok(files)
}

/// The architecture that a config names.
fn find(keys: &mut Keys) -> Result<(&'static str, Builder), String> {
    let names: Vec<&str> = ARCHITECTURES.iter().map(|(name, ..)| *name).collect();
    let known = names.join(", ");
    let named = keys.value("architectures").unwrap_or_default();
    let name = match named.as_array().map(Vec::as_slice) {
        Some([Value::String(name)]) => name,
        Some(names) => {
            let n = names.len();
            return Err(format!(
                "it names {n} architectures: expected one of {known}"
            ));
        }
        None => return Err(format!("it names no architecture: expected one of {known}")),
    };
    let found = ARCHITECTURES.into_iter().find(|(known, ..)| known == name);
    let (architecture, kind, build) = found
        .ok_or_else(|| format!("architecture {name} is not supported: expected one of {known}"))?;
    // Transformers goes by this one.
    match keys.value("model_type") {
        Some(other) if other != kind => Err(keys.wrong("model_type", &other, kind)),
        _ => check_code(keys, architecture).map(|()| (architecture, build)),
    }
}

/// Refuses code beside a model that has a class of another name for it. Code with a class of the same name
/// computes the same in another way; it is not run here, nor by Transformers unless it is asked to.
fn check_code(keys: &mut Keys, architecture: &str) -> Result<(), String> {
    let Some(code) = keys.value("auto_map") else {
        return Ok(());
    };
    let class = &code["AutoModelForCausalLM"];
    let name = class.as_str().and_then(|path| path.rsplit('.').next());
    if class.is_null() || name == Some(architecture) {
        return Ok(());
    }
    let expected = format!("{architecture}, because code beside a model is never run");
    Err(keys.wrong("auto_map.AutoModelForCausalLM", class, &expected))
}

/// The embedding of each id, one row under the other.
pub(crate) fn embed(embedding: &Matrix, ids: &[u32]) -> Vec<f32> {
    let width = embedding.columns();
    let mut x = vec![0.0; ids.len() * width];
    for (id, row) in ids.iter().zip(x.chunks_exact_mut(width)) {
        embedding.read_row(*id as usize, row);
    }
    x
}
