//! The layers of GPT-NeoX.

use std::ops::Range;

use super::config::{Config, KNOWN};
use super::load::Loader;
use crate::LmError;
use crate::kernels::{Activation, After, Heads, Matrix, Rotary, causal_attention, layer_norm};
use crate::linear::{self, Linear};
use crate::model::{self, Body, Built, embed};
use crate::weights::Tensors;

pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) eps: f32,
}

pub(crate) struct Layer {
    pub(crate) attention_norm: Norm,
    pub(crate) feed_forward_norm: Norm,
    pub(crate) query_key_value: Linear,
    pub(crate) dense: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// The layers of a GPT-NeoX model.
pub(crate) struct GptNeox {
    pub(crate) config: Config,
    pub(crate) activation: Activation,
    pub(crate) rotary: Rotary,
    pub(crate) embedding: Matrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) final_norm: Norm,
}

/// Makes a GPT-NeoX model of its config and tensors.
pub(crate) fn build(
    file: &mut model::Config<'_>,
    tensors: &mut Tensors<'_>,
) -> Result<Built, LmError> {
    let config = file.read(Config::read, KNOWN)?;
    let mut loader = Loader {
        tensors,
        config: &config,
    };
    let shape = [config.vocab_size, config.hidden_size];
    let embedding = loader.tensors.matrix("gpt_neox.embed_in.weight", shape)?;
    let tied = config.tie_word_embeddings;
    let output = linear::output(loader.tensors, "embed_out.weight", &embedding, tied)?;
    let embedded = loader.tensors.elements();
    let layers = (0..config.num_hidden_layers)
        .map(|i| loader.layer(&format!("gpt_neox.layers.{i}")))
        .collect::<Result<Vec<_>, _>>()?;
    let final_norm = loader.norm("gpt_neox.final_layer_norm")?;
    let context = config.max_position_embeddings;
    let body = GptNeox {
        activation: config.activation,
        rotary: Rotary::new(
            context,
            config.rotary_dims(),
            config.rope.base,
            config.rope.factor,
        ),
        embedding,
        layers,
        final_norm,
        config,
    };
    Ok(Built {
        body: Box::new(body),
        output,
        context,
        window: None,
        embedded,
    })
}

impl Body for GptNeox {
    fn hidden(&self, ids: &[u32], windows: &[Range<usize>]) -> Vec<f32> {
        let mut x = embed(&self.embedding, ids);
        let mut space = Space::new(&self.config, ids.len());
        for layer in &self.layers {
            self.layer(layer, &mut x, &mut space, windows);
        }
        x
    }

    fn final_norm(&self, out: &mut [f32], hidden: &[f32]) {
        self.final_norm.apply(out, hidden);
    }

    fn for_card(&self) -> Option<&GptNeox> {
        Some(self)
    }
}

impl GptNeox {
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
            shared: self.config.num_attention_heads,
            size: self.config.head_size(),
            together: true,
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
