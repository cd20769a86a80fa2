//! GPT-2: learned positions, and linear layers that are stored with a row for each input.

use std::ops::Range;

use crate::LmError;
use crate::kernels::{Activation, After, Heads, Matrix, Rotary, causal_attention, layer_norm};
use crate::keys::{Keys, Known};
use crate::linear::{self, Linear};
use crate::model::{self, Body, Built, embed};
use crate::weights::Tensors;

const ACTIVATIONS: [(&str, Activation); 3] = [
    ("gelu", Activation::GeluErf),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
];

/// Keys that the forward pass does not depend on.
const KNOWN: &[Known] = &[
    Known::Only("scale_attn_weights", &["true"]),
    Known::Only("scale_attn_by_inverse_layer_idx", &["false"]),
    // It only says in which order f32 is rounded to.
    Known::Any("reorder_and_upcast_attn"),
    // Not read since version 4 of Transformers.
    Known::Same("n_ctx", "n_positions"),
    Known::Any("predict_special_tokens"),
    Known::Any("n_special"),
    // The head for other tasks.
    Known::Any("summary_activation"),
    Known::Any("summary_first_dropout"),
    Known::Any("summary_proj_to_labels"),
    Known::Any("summary_type"),
    Known::Any("summary_use_proj"),
];

struct Config {
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    inner: usize,
    eps: f64,
    activation: Activation,
    tied: bool,
}

impl Config {
    fn read(keys: &mut Keys) -> Result<Self, String> {
        let (width, heads) = (keys.count("n_embd")?, keys.count("n_head")?);
        if !width.is_multiple_of(heads) {
            let expected = format!("a multiple of {heads} heads");
            return Err(keys.wrong("n_embd", &width.into(), &expected));
        }
        let positions = keys.count("n_positions")?;
        if !(2..=1 << 20).contains(&positions) {
            let expected = "a number from 2 to 1048576";
            return Err(keys.wrong("n_positions", &positions.into(), expected));
        }
        Ok(Self {
            vocab_size: keys.count("vocab_size")?,
            n_positions: positions,
            n_embd: width,
            n_layer: keys.count("n_layer")?,
            n_head: heads,
            inner: keys.count_if("n_inner")?.unwrap_or(4 * width),
            eps: keys.epsilon("layer_norm_epsilon", 1e-5)?,
            activation: keys.choice("activation_function", "gelu_new", &ACTIVATIONS)?,
            tied: keys.flag("tie_word_embeddings", true)?,
        })
    }
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Layer {
    attention_norm: Norm,
    query_key_value: Linear,
    attention_output: Linear,
    feed_forward_norm: Norm,
    up: Linear,
    down: Linear,
}

struct Gpt2 {
    heads: Heads,
    activation: Activation,
    /// Turns nothing: positions are learned.
    rotary: Rotary,
    embedding: Matrix,
    positions: Matrix,
    layers: Vec<Layer>,
    output_norm: Norm,
    eps: f32,
}

/// Makes a GPT-2 of its config and tensors.
pub(crate) fn build(
    file: &mut model::Config<'_>,
    tensors: &mut Tensors<'_>,
) -> Result<Built, LmError> {
    let config = file.read(Config::read, KNOWN)?;
    // The first published files have no prefix.
    let prefix = if tensors.has("transformer.wte.weight") {
        "transformer."
    } else {
        ""
    };
    let d = config.n_embd;
    let embedding = tensors.matrix(&format!("{prefix}wte.weight"), [config.vocab_size, d])?;
    let positions = tensors.matrix(&format!("{prefix}wpe.weight"), [config.n_positions, d])?;
    let output = linear::output(tensors, "lm_head.weight", &embedding, config.tied)?;
    let embedded = tensors.elements();
    let layers = (0..config.n_layer)
        .map(|i| layer(tensors, &format!("{prefix}h.{i}"), d, config.inner))
        .collect::<Result<Vec<_>, _>>()?;
    let body = Gpt2 {
        heads: Heads {
            count: config.n_head,
            shared: config.n_head,
            size: d / config.n_head,
            together: false,
        },
        activation: config.activation,
        rotary: Rotary::none(),
        output_norm: norm(tensors, &format!("{prefix}ln_f"), d)?,
        positions,
        layers,
        eps: config.eps as f32,
        embedding,
    };
    Ok(Built {
        body: Box::new(body),
        output,
        context: config.n_positions,
        window: None,
        embedded,
    })
}

fn layer(tensors: &mut Tensors<'_>, at: &str, d: usize, inner: usize) -> Result<Layer, LmError> {
    Ok(Layer {
        attention_norm: norm(tensors, &format!("{at}.ln_1"), d)?,
        query_key_value: stored_by_input(tensors, &format!("{at}.attn.c_attn"), d, 3 * d)?,
        attention_output: stored_by_input(tensors, &format!("{at}.attn.c_proj"), d, d)?,
        feed_forward_norm: norm(tensors, &format!("{at}.ln_2"), d)?,
        up: stored_by_input(tensors, &format!("{at}.mlp.c_fc"), d, inner)?,
        down: stored_by_input(tensors, &format!("{at}.mlp.c_proj"), inner, d)?,
    })
}

fn norm(tensors: &mut Tensors<'_>, at: &str, width: usize) -> Result<Norm, LmError> {
    Ok(Norm {
        weight: tensors.vector(&format!("{at}.weight"), width)?,
        bias: tensors.vector(&format!("{at}.bias"), width)?,
    })
}

fn stored_by_input(
    tensors: &mut Tensors<'_>,
    at: &str,
    from: usize,
    to: usize,
) -> Result<Linear, LmError> {
    Ok(Linear {
        weight: tensors.matrix_by_input(&format!("{at}.weight"), [to, from])?,
        bias: tensors.vector(&format!("{at}.bias"), to)?,
    })
}

impl Gpt2 {
    fn norm(&self, norm: &Norm, out: &mut [f32], x: &[f32]) {
        layer_norm(out, x, &norm.weight, &norm.bias, self.eps);
    }

    /// Adds to each row the embedding of its position in its window.
    fn place(&self, x: &mut [f32], windows: &[Range<usize>]) {
        let width = self.embedding.columns();
        let mut position = vec![0.0; width];
        for window in windows {
            for (t, row) in x[window.start * width..window.end * width]
                .chunks_exact_mut(width)
                .enumerate()
            {
                self.positions.read_row(t, &mut position);
                row.iter_mut().zip(&position).for_each(|(x, p)| *x += p);
            }
        }
    }
}

impl Body for Gpt2 {
    fn hidden(&self, ids: &[u32], windows: &[Range<usize>]) -> Vec<f32> {
        let width = self.embedding.columns();
        let mut x = embed(&self.embedding, ids);
        self.place(&mut x, windows);
        let (mut normed, mut mixed) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let mut qkv = vec![0.0; 3 * x.len()];
        for layer in &self.layers {
            self.norm(&layer.attention_norm, &mut normed, &x);
            layer.query_key_value.apply(&mut qkv, &normed, After::Store);
            for window in windows {
                let out = &mut mixed[window.start * width..window.end * width];
                let qkv = &qkv[3 * window.start * width..3 * window.end * width];
                causal_attention(out, qkv, self.heads, &self.rotary);
            }
            layer.attention_output.apply(&mut x, &mixed, After::Add);
            self.norm(&layer.feed_forward_norm, &mut normed, &x);
            let mut wide = vec![0.0; ids.len() * layer.up.weight.rows()];
            layer
                .up
                .apply(&mut wide, &normed, After::Activate(self.activation));
            layer.down.apply(&mut x, &wide, After::Add);
        }
        x
    }

    fn final_norm(&self, out: &mut [f32], hidden: &[f32]) {
        self.norm(&self.output_norm, out, hidden);
    }
}
