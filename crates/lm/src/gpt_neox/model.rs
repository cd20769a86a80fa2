//! The forward pass: windows of tokens in, the log-probability of each token in its context out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cpipe_data::scores::ModelFacts;

use super::config::{ARCHITECTURE, Config};
use super::load::Loader;
use super::weights::{Shards, Tensors, missing};
use crate::kernels::{
    Activation, After, Heads, Matrix, Rotary, causal_attention, layer_norm, linear,
    target_log_probs,
};
use crate::{LmError, ModelShape, Sequence};

pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) eps: f32,
}

/// A linear layer; the matrix stands as in its file, a row for each output.
pub(super) struct Linear {
    pub(super) weight: Matrix,
    pub(super) bias: Vec<f32>,
}

pub(super) struct Layer {
    pub(super) attention_norm: Norm,
    pub(super) feed_forward_norm: Norm,
    pub(super) query_key_value: Linear,
    pub(super) dense: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

/// A GPT-NeoX model that computes in f32 on the CPU.
///
/// Weights stay memory-mapped in their stored format. One call works on one batch with one thread;
/// calls from several threads share the weights.
pub struct Model {
    config: Config,
    activation: Activation,
    rotary: Rotary,
    embedding: Matrix,
    layers: Vec<Layer>,
    final_norm: Norm,
    /// A row for each entry of the vocabulary.
    output: Matrix,
    params_total: u64,
    params_non_embedding: u64,
}

impl Model {
    /// Loads a model from files by name: `config.json` and `model.safetensors`, or the shards that
    /// `model.safetensors.index.json` names.
    pub fn load(files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        let path = files
            .get("config.json")
            .ok_or_else(|| missing("config.json", files))?;
        let config = Config::read(path)?;
        let shards = Shards::open(files)?;
        Self::build(config, shards.tensors()?)
    }

    /// Loads a model from a folder.
    pub fn load_dir(dir: &Path) -> Result<Self, LmError> {
        let mut files = BTreeMap::new();
        for entry in fs_err::read_dir(dir).map_err(|e| LmError::io(dir, e))? {
            let entry = entry.map_err(|e| LmError::io(dir, e))?;
            files.insert(
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            );
        }
        Self::load(&files)
    }

    fn build(config: Config, tensors: Tensors<'_>) -> Result<Self, LmError> {
        let mut loader = Loader {
            tensors,
            config: &config,
        };
        let shape = [config.vocab_size, config.hidden_size];
        let embedding = loader.tensors.matrix("gpt_neox.embed_in.weight", shape)?;
        let output = loader.output(&embedding)?;
        let embedded = loader.tensors.elements();
        let layers = (0..config.num_hidden_layers)
            .map(|i| loader.layer(&format!("gpt_neox.layers.{i}")))
            .collect::<Result<Vec<_>, _>>()?;
        let final_norm = loader.norm("gpt_neox.final_layer_norm")?;
        let params_total = loader.tensors.elements();
        loader.tensors.finish()?;
        let context = config.max_position_embeddings;
        Ok(Self {
            activation: config.activation().map_err(LmError::Tokens)?,
            rotary: Rotary::new(context, config.rotary_dims(), config.rotary_base()),
            embedding,
            output,
            layers,
            final_norm,
            params_total,
            params_non_embedding: params_total - embedded,
            config,
        })
    }

    /// Positions that the model was built for.
    pub fn context(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// What a plan has to know of the model.
    pub fn shape(&self) -> ModelShape {
        ModelShape {
            context: self.context(),
            vocabulary: self.config.vocab_size as u64,
        }
    }

    /// What identifies the model beside its scores.
    pub fn facts(&self) -> ModelFacts {
        ModelFacts {
            architecture: ARCHITECTURE.into(),
            params_total: self.params_total,
            params_non_embedding: self.params_non_embedding,
            context: self.context() as u64,
            vocabulary: self.config.vocab_size as u64,
            dtype: "f32".into(),
        }
    }

    /// Natural log-probabilities of each sequence's targets, each given all ids before it.
    ///
    /// # Errors
    /// When there are more ids than the context has positions, or an id outside the vocabulary.
    pub fn log_probs(&self, batch: &[Sequence]) -> Result<Vec<Vec<f32>>, LmError> {
        for sequence in batch {
            self.shape().check(sequence)?;
        }
        let scored = batch.iter().filter(|s| !s.targets().is_empty());
        let rows = Rows::new(scored);
        let mut log_probs = self.forward(&rows).into_iter();
        let part = |s: &Sequence| log_probs.by_ref().take(s.targets().len()).collect();
        Ok(batch.iter().map(part).collect())
    }

    fn forward(&self, rows: &Rows) -> Vec<f32> {
        let width = self.config.hidden_size;
        let mut x = vec![0.0; rows.ids.len() * width];
        for (id, row) in rows.ids.iter().zip(x.chunks_exact_mut(width)) {
            self.embedding.read_row(*id as usize, row);
        }
        let mut space = Space::new(&self.config, rows.ids.len());
        for layer in &self.layers {
            self.layer(layer, &mut x, &mut space, &rows.windows);
        }
        let mut hidden = Vec::with_capacity(rows.targets.len() * width);
        for span in &rows.scored {
            hidden.extend_from_slice(&x[span.start * width..span.end * width]);
        }
        let mut normed = vec![0.0; hidden.len()];
        self.final_norm.apply(&mut normed, &hidden);
        target_log_probs(&normed, &self.output, &rows.targets)
    }

    fn layer(&self, layer: &Layer, x: &mut [f32], space: &mut Space, windows: &[Range<usize>]) {
        layer.attention_norm.apply(&mut space.normed, x);
        self.attend(layer, space, windows);
        if self.config.use_parallel_residual {
            layer.feed_forward_norm.apply(&mut space.normed, x);
        }
        layer.dense.apply(x, &space.mixed, After::Add);
        if !self.config.use_parallel_residual {
            layer.feed_forward_norm.apply(&mut space.normed, x);
        }
        let wide =
            &mut space.wide[..x.len() / self.config.hidden_size * self.config.intermediate_size];
        layer
            .up
            .apply(wide, &space.normed, After::Activate(self.activation));
        layer.down.apply(x, wide, After::Add);
    }

    /// From `space.normed` to `space.mixed`.
    fn attend(&self, layer: &Layer, space: &mut Space, windows: &[Range<usize>]) {
        let width = self.config.hidden_size;
        let qkv = &mut space.wide[..3 * space.normed.len()];
        layer
            .query_key_value
            .apply(qkv, &space.normed, After::Store);
        let heads = Heads {
            count: self.config.num_attention_heads,
            size: self.config.head_size(),
        };
        for window in windows {
            let out = &mut space.mixed[window.start * width..window.end * width];
            let qkv = &qkv[3 * window.start * width..3 * window.end * width];
            causal_attention(out, qkv, heads, &self.rotary);
        }
    }
}

impl Norm {
    fn apply(&self, out: &mut [f32], x: &[f32]) {
        layer_norm(out, x, &self.weight, &self.bias, self.eps);
    }
}

impl Linear {
    fn apply(&self, out: &mut [f32], x: &[f32], after: After) {
        linear(out, x, &self.weight, &self.bias, after);
    }
}

/// The sequences of a batch one under the other.
#[derive(Default)]
struct Rows {
    /// What the model is given: every id but the last of each sequence.
    ids: Vec<u32>,
    /// Rows of each sequence.
    windows: Vec<Range<usize>>,
    /// Rows of each sequence that predict a target.
    scored: Vec<Range<usize>>,
    targets: Vec<u32>,
}

impl Rows {
    fn new<'s>(sequences: impl Iterator<Item = &'s Sequence>) -> Self {
        let mut rows = Self::default();
        for sequence in sequences {
            let (start, targets) = (rows.ids.len(), sequence.targets());
            rows.ids.extend(&sequence.ids[..sequence.ids.len() - 1]);
            rows.targets.extend(targets);
            rows.windows.push(start..rows.ids.len());
            rows.scored
                .push(rows.ids.len() - targets.len()..rows.ids.len());
        }
        rows
    }
}

/// Intermediate values, reused by all layers.
struct Space {
    normed: Vec<f32>,
    mixed: Vec<f32>,
    /// Queries, keys and values, and then the feed-forward layer.
    wide: Vec<f32>,
}

impl Space {
    fn new(config: &Config, rows: usize) -> Self {
        let wide = config.intermediate_size.max(3 * config.hidden_size);
        Self {
            normed: vec![0.0; rows * config.hidden_size],
            mixed: vec![0.0; rows * config.hidden_size],
            wide: vec![0.0; rows * wide],
        }
    }
}
