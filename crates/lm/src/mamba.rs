//! Mamba: a selective state space in place of attention, so that no window has a longest length.

use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use crate::LmError;
use crate::kernels::{After, Matrix, Scan, linear, rms_norm, selective_scan};
use crate::model::{self, Body, Built, embed};
use crate::weights::Tensors;

/// Positions that one window may have: the recurrence has no limit of its own.
const CONTEXT: usize = 1 << 20;

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    state_size: usize,
    intermediate_size: usize,
    conv_kernel: usize,
    /// A number, or `auto`: a sixteenth of `hidden_size`, rounded up.
    time_step_rank: Value,
    #[serde(default = "default_eps")]
    layer_norm_epsilon: f64,
    #[serde(default)]
    use_bias: bool,
    #[serde(default = "yes")]
    use_conv_bias: bool,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    #[serde(default = "silu")]
    hidden_act: String,
}

fn default_eps() -> f64 {
    1e-5
}

fn yes() -> bool {
    true
}

fn silu() -> String {
    "silu".into()
}

impl Config {
    fn rank(&self) -> Option<usize> {
        match self.time_step_rank.as_u64() {
            Some(rank) => Some(rank as usize),
            None if self.time_step_rank == "auto" => Some(self.hidden_size.div_ceil(16)),
            None => None,
        }
    }

    fn check(&self) -> Result<usize, String> {
        let rank = self.rank().unwrap_or_default();
        for (name, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("state_size", self.state_size),
            ("intermediate_size", self.intermediate_size),
            ("conv_kernel", self.conv_kernel),
            ("time_step_rank", rank),
        ] {
            if value == 0 || value > 1 << 24 {
                return Err(format!("{name} is {value}"));
            }
        }
        if self.hidden_act != "silu" {
            return Err(format!(
                "hidden_act `{}` is not supported: expected silu",
                self.hidden_act
            ));
        }
        Ok(rank)
    }
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
    norm: Vec<f32>,
    /// To the channels of the recurrence and those of its gate.
    input: Linear,
    scan: Scan,
    /// From a channel's values to the step size, in low rank, and the weights of the states.
    select: Linear,
    step: Linear,
    output: Linear,
}

struct Mamba {
    embedding: Matrix,
    layers: Vec<Layer>,
    output_norm: Vec<f32>,
    eps: f32,
}

/// Makes a Mamba of its config and tensors.
pub(crate) fn build(file: &model::Config<'_>, tensors: &mut Tensors<'_>) -> Result<Built, LmError> {
    let config: Config = file.parse()?;
    let rank = config.check().map_err(|reason| file.bad(reason))?;
    let shape = [config.vocab_size, config.hidden_size];
    let embedding = tensors.matrix("backbone.embeddings.weight", shape)?;
    let output = if config.tie_word_embeddings {
        tensors.discard("lm_head.weight");
        embedding.clone()
    } else {
        tensors.matrix("lm_head.weight", shape)?
    };
    let embedded = tensors.elements();
    let layers = (0..config.num_hidden_layers)
        .map(|i| layer(tensors, &config, rank, &format!("backbone.layers.{i}")))
        .collect::<Result<Vec<_>, _>>()?;
    let body = Mamba {
        embedding,
        layers,
        output_norm: tensors.vector("backbone.norm_f.weight", config.hidden_size)?,
        eps: config.layer_norm_epsilon as f32,
    };
    Ok(Built {
        body: Box::new(body),
        output,
        context: CONTEXT,
        embedded,
    })
}

fn layer(
    tensors: &mut Tensors<'_>,
    config: &Config,
    rank: usize,
    at: &str,
) -> Result<Layer, LmError> {
    let (d, channels, states) = (
        config.hidden_size,
        config.intermediate_size,
        config.state_size,
    );
    let mixer = format!("{at}.mixer");
    let mut dense = |name: &str, from: usize, to: usize, biased: bool| -> Result<Linear, LmError> {
        Ok(Linear {
            weight: tensors.matrix(&format!("{mixer}.{name}.weight"), [to, from])?,
            bias: if biased {
                tensors.vector(&format!("{mixer}.{name}.bias"), to)?
            } else {
                vec![0.0; to]
            },
        })
    };
    let input = dense("in_proj", d, 2 * channels, config.use_bias)?;
    let select = dense("x_proj", channels, rank + 2 * states, false)?;
    let step = dense("dt_proj", rank, channels, true)?;
    let output = dense("out_proj", channels, d, config.use_bias)?;
    let logarithms = tensors.values(&format!("{mixer}.A_log"), &[channels, states])?;
    let kernel = [channels, 1, config.conv_kernel];
    let scan = Scan {
        convolution: tensors.values(&format!("{mixer}.conv1d.weight"), &kernel)?,
        convolution_bias: if config.use_conv_bias {
            tensors.vector(&format!("{mixer}.conv1d.bias"), channels)?
        } else {
            vec![0.0; channels]
        },
        decay: logarithms.into_iter().map(|a| -libm::expf(a)).collect(),
        skip: tensors.vector(&format!("{mixer}.D"), channels)?,
    };
    Ok(Layer {
        norm: tensors.vector(&format!("{at}.norm.weight"), d)?,
        input,
        scan,
        select,
        step,
        output,
    })
}

impl Body for Mamba {
    fn hidden(&self, ids: &[u32], windows: &[Range<usize>]) -> Vec<f32> {
        let mut x = embed(&self.embedding, ids);
        let mut normed = vec![0.0; x.len()];
        for layer in &self.layers {
            rms_norm(&mut normed, &x, &layer.norm, self.eps);
            layer.apply(&mut x, &normed, windows);
        }
        x
    }

    fn final_norm(&self, out: &mut [f32], hidden: &[f32]) {
        rms_norm(out, hidden, &self.output_norm, self.eps);
    }
}

impl Layer {
    /// Adds the layer's output for `normed` to `x`.
    fn apply(&self, x: &mut [f32], normed: &[f32], windows: &[Range<usize>]) {
        let (width, channels) = (self.input.weight.columns(), self.output.weight.columns());
        let rows = x.len() / width;
        let mut inner = vec![0.0; rows * 2 * channels];
        self.input.apply(&mut inner, normed, After::Store);
        let mut mixed = vec![0.0; rows * channels];
        for window in windows {
            let out = &mut mixed[window.start * channels..window.end * channels];
            let inputs = &inner[2 * window.start * channels..2 * window.end * channels];
            self.scan.convolve(out, inputs, 2 * channels);
        }
        let stride = self.select.weight.rows();
        let mut selected = vec![0.0; rows * stride];
        self.select.apply(&mut selected, &mixed, After::Store);
        let steps = self.steps(&selected, rows);
        for window in windows {
            let span = window.start * channels..window.end * channels;
            let mixing = &selected[window.start * stride..window.end * stride];
            selective_scan(
                &self.scan,
                &mut mixed[span.clone()],
                &steps[span],
                mixing,
                stride,
            );
        }
        for (mixed, inner) in mixed
            .chunks_exact_mut(channels)
            .zip(inner.chunks_exact(2 * channels))
        {
            for (y, gate) in mixed.iter_mut().zip(&inner[channels..]) {
                *y *= gate / (1.0 + libm::expf(-gate));
            }
        }
        self.output.apply(x, &mixed, After::Add);
    }

    /// ln(1 + e^step) of every channel.
    fn steps(&self, selected: &[f32], rows: usize) -> Vec<f32> {
        let (channels, rank) = (self.step.weight.rows(), self.step.weight.columns());
        let of_row = |row: &[f32]| row[..rank].to_vec();
        let low: Vec<f32> = selected
            .chunks_exact(self.select.weight.rows())
            .flat_map(of_row)
            .collect();
        let mut steps = vec![0.0; rows * channels];
        self.step.apply(&mut steps, &low, After::Store);
        for step in &mut steps {
            // Beyond 20 the two are the same in f32.
            if *step <= 20.0 {
                *step = libm::log1pf(libm::expf(*step));
            }
        }
        steps
    }
}
