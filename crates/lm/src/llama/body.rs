//! The layers of Llama.

use std::ops::Range;

use super::config::{Config, Family};
use super::experts::Experts;
use super::load::Loader;
use crate::LmError;
use crate::kernels::{Activation, After, Heads, Matrix, Rotary, causal_attention, rms_norm};
use crate::linear::{self, Linear};
use crate::model::{self, Body, Built, embed};
use crate::weights::Tensors;

/// `down(silu(gate(x)) · up(x))`.
pub(super) struct Gated {
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl Gated {
    /// Adds it to `out`.
    pub(super) fn apply(&self, out: &mut [f32], x: &[f32]) {
        let (width, inner) = (self.gate.weight.columns(), self.gate.weight.rows());
        let mut wide = vec![0.0; x.len() / width * inner];
        self.gate
            .apply(&mut wide, x, After::Activate(Activation::Silu));
        self.up.apply(&mut wide, x, After::Multiply);
        self.down.apply(out, &wide, After::Add);
    }
}

pub(super) enum FeedForward {
    Dense(Gated),
    Experts(Experts),
}

pub(super) struct Layer {
    pub(super) attention_norm: Vec<f32>,
    pub(super) feed_forward_norm: Vec<f32>,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) feed_forward: FeedForward,
}

struct Llama {
    heads: Heads,
    rotary: Rotary,
    embedding: Matrix,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    eps: f32,
}

/// Makes a model of the Llama type of its config and tensors.
pub(crate) fn build(
    file: &mut model::Config<'_>,
    tensors: &mut Tensors<'_>,
) -> Result<Built, LmError> {
    let family = Family::of(file.architecture);
    let config = file.read(|keys| Config::read(keys, family), family.known())?;
    let shape = [config.vocab_size, config.hidden_size];
    let embedding = tensors.matrix("model.embed_tokens.weight", shape)?;
    let tied = config.tie_word_embeddings;
    let output = linear::output(tensors, "lm_head.weight", &embedding, tied)?;
    let embedded = tensors.elements();
    let mut loader = Loader {
        tensors,
        config: &config,
        qkv_bias: family.qkv_bias,
    };
    let layers = (0..config.num_hidden_layers)
        .map(|i| loader.layer(&format!("model.layers.{i}")))
        .collect::<Result<Vec<_>, _>>()?;
    let context = config.max_position_embeddings;
    let body = Llama {
        heads: Heads {
            count: config.num_attention_heads,
            shared: config.shared_heads,
            size: config.head_size,
            together: false,
        },
        final_norm: tensors.vector("model.norm.weight", config.hidden_size)?,
        rotary: Rotary::new(
            context,
            config.head_size,
            config.rope.base,
            config.rope.factor,
        ),
        embedding,
        layers,
        eps: config.rms_norm_eps as f32,
    };
    Ok(Built {
        body: Box::new(body),
        output,
        context,
        window: config.window,
        embedded,
    })
}

impl Body for Llama {
    fn hidden(&self, ids: &[u32], windows: &[Range<usize>]) -> Vec<f32> {
        let mut x = embed(&self.embedding, ids);
        let mut normed = vec![0.0; x.len()];
        for layer in &self.layers {
            rms_norm(&mut normed, &x, &layer.attention_norm, self.eps);
            self.attend(layer, &mut x, &normed, windows);
            rms_norm(&mut normed, &x, &layer.feed_forward_norm, self.eps);
            match &layer.feed_forward {
                FeedForward::Dense(gated) => gated.apply(&mut x, &normed),
                FeedForward::Experts(experts) => experts.apply(&mut x, &normed),
            }
        }
        x
    }

    fn final_norm(&self, out: &mut [f32], hidden: &[f32]) {
        rms_norm(out, hidden, &self.final_norm, self.eps);
    }
}

impl Llama {
    fn attend(&self, layer: &Layer, x: &mut [f32], normed: &[f32], windows: &[Range<usize>]) {
        let (heads, width) = (self.heads, self.embedding.columns());
        let (rows, row) = (x.len() / width, heads.row());
        let mut qkv = vec![0.0; rows * row];
        let mut at = 0;
        for part in [&layer.query, &layer.key, &layer.value] {
            part.apply_apart(&mut qkv[at..], row, normed, After::Store);
            at += part.weight.rows();
        }
        let inner = heads.count * heads.size;
        let mut mixed = vec![0.0; rows * inner];
        for window in windows {
            let out = &mut mixed[window.start * inner..window.end * inner];
            causal_attention(
                out,
                &qkv[window.start * row..window.end * row],
                heads,
                &self.rotary,
            );
        }
        layer.output.apply(x, &mixed, After::Add);
    }
}
