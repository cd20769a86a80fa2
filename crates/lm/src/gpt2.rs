//! GPT-2: learned positions, and linear layers that are stored with a row for each input.

use std::ops::Range;

use serde::Deserialize;

use crate::LmError;
use crate::kernels::{
    Activation, After, Heads, Matrix, Rotary, causal_attention, layer_norm, linear,
};
use crate::model::{self, Body, Built, embed};
use crate::weights::Tensors;

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    #[serde(default = "default_eps")]
    layer_norm_epsilon: f64,
    #[serde(default = "gelu_new")]
    activation_function: String,
    #[serde(default)]
    scale_attn_by_inverse_layer_idx: bool,
}

fn default_eps() -> f64 {
    1e-5
}

fn gelu_new() -> String {
    "gelu_new".into()
}

impl Config {
    fn check(&self) -> Result<(), String> {
        let sizes = [
            self.vocab_size,
            self.n_embd,
            self.n_layer,
            self.n_head,
            self.inner(),
        ];
        if sizes.iter().any(|n| *n == 0 || *n > 1 << 24) || !self.n_embd.is_multiple_of(self.n_head)
        {
            return Err(format!(
                "sizes {sizes:?} are no GPT-2: vocab_size, n_embd, n_layer, n_head, n_inner"
            ));
        }
        if !(2..=1 << 20).contains(&self.n_positions) {
            return Err(format!("n_positions is {}", self.n_positions));
        }
        if self.scale_attn_by_inverse_layer_idx {
            return Err("scale_attn_by_inverse_layer_idx is not supported".into());
        }
        self.activation().map(drop)
    }

    fn inner(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }

    fn activation(&self) -> Result<Activation, String> {
        match self.activation_function.as_str() {
            "gelu" => Ok(Activation::GeluErf),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            other => Err(format!(
                "activation_function `{other}` is not supported: expected gelu or gelu_new"
            )),
        }
    }
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Linear {
    weight: Matrix,
    bias: Vec<f32>,
}

impl Linear {
    fn apply(&self, out: &mut [f32], x: &[f32], after: After) {
        linear(out, self.weight.rows(), x, &self.weight, &self.bias, after);
    }
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
pub(crate) fn build(file: &model::Config<'_>, tensors: &mut Tensors<'_>) -> Result<Built, LmError> {
    let config: Config = file.parse()?;
    config.check().map_err(|reason| file.bad(reason))?;
    // The first published files have no prefix.
    let prefix = if tensors.has("transformer.wte.weight") {
        "transformer."
    } else {
        ""
    };
    let d = config.n_embd;
    let embedding = tensors.matrix(&format!("{prefix}wte.weight"), [config.vocab_size, d])?;
    let positions = tensors.matrix(&format!("{prefix}wpe.weight"), [config.n_positions, d])?;
    tensors.discard("lm_head.weight");
    let embedded = tensors.elements();
    let layers = (0..config.n_layer)
        .map(|i| layer(tensors, &format!("{prefix}h.{i}"), d, config.inner()))
        .collect::<Result<Vec<_>, _>>()?;
    let body = Gpt2 {
        heads: Heads {
            count: config.n_head,
            shared: config.n_head,
            size: d / config.n_head,
            together: false,
        },
        activation: config.activation().map_err(|reason| file.bad(reason))?,
        rotary: Rotary::new(config.n_positions, 0, 1.0),
        output_norm: norm(tensors, &format!("{prefix}ln_f"), d)?,
        positions,
        layers,
        eps: config.layer_norm_epsilon as f32,
        embedding: embedding.clone(),
    };
    Ok(Built {
        body: Box::new(body),
        output: embedding,
        context: config.n_positions,
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
