//! The forward pass: a window of tokens in, the log-probability of each in its context out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use cpipe_data::scores::ModelFacts;

use super::config::{ARCHITECTURE, Config};
use super::weights::{Shards, Tensors, missing, transpose};
use crate::kernels::{Activation, Rotary, ops};
use crate::{LmError, ModelShape, Sequence};

struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
}

/// A linear layer; the matrix is kept transposed (`[in, out]`), as the products want it.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

struct Layer {
    attention_norm: Norm,
    feed_forward_norm: Norm,
    query_key_value: Linear,
    dense: Linear,
    up: Linear,
    down: Linear,
}

/// A GPT-NeoX model in f32 on the CPU.
///
/// One call works on one window with one thread; calls from several threads share the weights.
pub struct Model {
    config: Config,
    activation: Activation,
    rotary: Rotary,
    embedding: Tensor,
    layers: Vec<Layer>,
    final_norm: Norm,
    /// `[hidden, vocabulary]`.
    output: Tensor,
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
        let (d, v) = (config.hidden_size, config.vocab_size);
        let embedding = loader.tensors.take("gpt_neox.embed_in.weight", &[v, d])?;
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
            embedding: Tensor::from_vec(embedding, (v, d), &Device::Cpu)?,
            output,
            layers,
            final_norm,
            params_total,
            params_non_embedding: params_total - embedded,
            config,
        })
    }

    /// The model's config.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Positions that the model was built for.
    pub fn context(&self) -> usize {
        self.config.max_position_embeddings
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

    /// What a plan has to know of the model.
    pub fn shape(&self) -> ModelShape {
        ModelShape {
            context: self.context(),
            vocabulary: self.config.vocab_size as u64,
        }
    }

    /// Natural log-probabilities of each sequence's targets, each given all ids before it.
    ///
    /// # Errors
    /// When there are more ids than the context has positions, or an id outside the vocabulary.
    pub fn log_probs(&self, batch: &[Sequence]) -> Result<Vec<Vec<f32>>, LmError> {
        batch.iter().map(|sequence| self.score(sequence)).collect()
    }

    fn score(&self, sequence: &Sequence) -> Result<Vec<f32>, LmError> {
        let (context, ids) = (self.context(), &sequence.ids);
        if ids.len() > context {
            let n = ids.len();
            return Err(LmError::Tokens(format!(
                "{n} tokens exceed the context of {context}"
            )));
        }
        let rows = self.config.vocab_size;
        if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
            let reason = format!("token {id} is outside the model's vocabulary of {rows}");
            return Err(LmError::Tokens(reason));
        }
        match (ids.as_slice(), sequence.targets()) {
            (_, []) | ([], _) => Ok(Vec::new()),
            ([seen @ .., _], targets) => Ok(self.forward(seen, targets)?),
        }
    }

    fn forward(&self, ids: &[u32], targets: &[u32]) -> candle_core::Result<Vec<f32>> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let mut x = self.embedding.embedding(&ids)?;
        for layer in &self.layers {
            x = self.layer(layer, &x)?;
        }
        let scored = x.narrow(0, x.dim(0)? - targets.len(), targets.len())?;
        let hidden = self.final_norm.apply(&scored)?;
        let targets = Tensor::new(targets, &Device::Cpu)?;
        ops::log_probs(&hidden, &self.output, &targets)?.to_vec1()
    }

    fn layer(&self, layer: &Layer, x: &Tensor) -> candle_core::Result<Tensor> {
        let normed = layer.attention_norm.apply(x)?;
        let mixed = self.attend(layer, &normed)?;
        let after = ops::add_with_bias(x, &mixed, &layer.dense.bias)?;
        let input = if self.config.use_parallel_residual {
            x
        } else {
            &after
        };
        let normed = layer.feed_forward_norm.apply(input)?;
        let up = ops::linear(&normed, &layer.up.weight)?;
        let active = ops::activate(&up, &layer.up.bias, self.activation)?;
        let down = ops::linear(&active, &layer.down.weight)?;
        ops::add_with_bias(&after, &down, &layer.down.bias)
    }

    fn attend(&self, layer: &Layer, normed: &Tensor) -> candle_core::Result<Tensor> {
        let qkv = ops::linear(normed, &layer.query_key_value.weight)?;
        let heads = self.config.num_attention_heads;
        let mixed = ops::attention(&qkv, &layer.query_key_value.bias, heads, &self.rotary)?;
        ops::linear(&mixed, &layer.dense.weight)
    }
}

impl Norm {
    fn apply(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        ops::layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// Takes the model's parts out of its tensors.
struct Loader<'a> {
    tensors: Tensors<'a>,
    config: &'a Config,
}

impl Loader<'_> {
    fn output(&mut self, embedding: &[f32]) -> Result<Tensor, LmError> {
        let (d, v) = (self.config.hidden_size, self.config.vocab_size);
        let name = "embed_out.weight";
        let matrix = if self.config.tie_word_embeddings {
            self.tensors.discard(name);
            transpose(embedding, v, d)
        } else {
            self.tensors.take_transposed(name, v, d)?
        };
        Ok(Tensor::from_vec(matrix, (d, v), &Device::Cpu)?)
    }

    fn layer(&mut self, at: &str) -> Result<Layer, LmError> {
        let (d, f) = (self.config.hidden_size, self.config.intermediate_size);
        let biased = self.config.attention_bias;
        let qkv = format!("{at}.attention.query_key_value");
        Ok(Layer {
            attention_norm: self.norm(&format!("{at}.input_layernorm"))?,
            feed_forward_norm: self.norm(&format!("{at}.post_attention_layernorm"))?,
            query_key_value: self.linear(&qkv, d, 3 * d, biased)?,
            dense: self.linear(&format!("{at}.attention.dense"), d, d, biased)?,
            up: self.linear(&format!("{at}.mlp.dense_h_to_4h"), d, f, true)?,
            down: self.linear(&format!("{at}.mlp.dense_4h_to_h"), f, d, true)?,
        })
    }

    fn norm(&mut self, at: &str) -> Result<Norm, LmError> {
        let width = self.config.hidden_size;
        Ok(Norm {
            weight: self.vector(&format!("{at}.weight"), width)?,
            bias: self.vector(&format!("{at}.bias"), width)?,
            eps: self.config.layer_norm_eps as f32,
        })
    }

    fn linear(
        &mut self,
        at: &str,
        from: usize,
        to: usize,
        biased: bool,
    ) -> Result<Linear, LmError> {
        let weight = self
            .tensors
            .take_transposed(&format!("{at}.weight"), to, from)?;
        let bias = if biased {
            self.vector(&format!("{at}.bias"), to)?
        } else {
            Tensor::from_vec(vec![0f32; to], to, &Device::Cpu)?
        };
        Ok(Linear {
            weight: Tensor::from_vec(weight, (from, to), &Device::Cpu)?,
            bias,
        })
    }

    fn vector(&mut self, name: &str, width: usize) -> Result<Tensor, LmError> {
        let values = self.tensors.take(name, &[width])?;
        Ok(Tensor::from_vec(values, width, &Device::Cpu)?)
    }
}
