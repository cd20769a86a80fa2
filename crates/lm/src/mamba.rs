//! Mamba: a selective state space in place of attention, so that no window has a longest length.

use std::ops::Range;

use crate::LmError;
use crate::kernels::{After, Matrix, Scan, rms_norm, selective_scan};
use crate::keys::{Keys, Known};
use crate::linear::{self, Linear};
use crate::model::{self, Body, Built, embed};
use crate::weights::Tensors;

/// Positions that one window may have: the recurrence has no limit of its own.
const CONTEXT: usize = 1 << 20;

/// Keys that the forward pass does not depend on.
const KNOWN: &[Known] = &[
    // How weights were drawn before training.
    Known::Any("time_step_scale"),
    Known::Any("time_step_min"),
    Known::Any("time_step_max"),
    Known::Any("time_step_init_scheme"),
    Known::Any("time_step_floor"),
    Known::Any("rescale_prenorm_residual"),
    // How it is computed, or in which format: here in f32 throughout.
    Known::Any("residual_in_fp32"),
    Known::Any("fused_add_norm"),
    Known::Any("use_mambapy"),
    Known::Any("use_associative_scan"),
    // The names of its authors' own code, beside those that are read.
    Known::Same("d_model", "hidden_size"),
    Known::Same("d_inner", "intermediate_size"),
    Known::Same("n_layer", "num_hidden_layers"),
    Known::Any("pad_vocab_size_multiple"),
    Known::Only("rms_norm", &["true"]),
    Known::Only("ssm_cfg", &["{}"]),
];

struct Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    state_size: usize,
    intermediate_size: usize,
    conv_kernel: usize,
    rank: usize,
    layer_norm_epsilon: f64,
    use_bias: bool,
    use_conv_bias: bool,
    tie_word_embeddings: bool,
}

impl Config {
    fn read(keys: &mut Keys) -> Result<Self, String> {
        let hidden_size = keys.count("hidden_size")?;
        let expanded = keys.number_if("expand")?.unwrap_or(2.0) * hidden_size as f64;
        keys.choice("hidden_act", "silu", &[("silu", ())])?;
        let inner = keys.count_if("intermediate_size")?;
        Ok(Self {
            vocab_size: keys.count("vocab_size")?,
            hidden_size,
            num_hidden_layers: keys.count("num_hidden_layers")?,
            state_size: keys.count("state_size")?,
            intermediate_size: match inner {
                Some(inner) => inner,
                None if (1.0..1e7).contains(&expanded) => expanded as usize,
                None => return Err("`expand` is not a size, expected a number".into()),
            },
            conv_kernel: keys.count("conv_kernel")?,
            rank: rank(keys, hidden_size)?,
            layer_norm_epsilon: keys.epsilon("layer_norm_epsilon", 1e-5)?,
            use_bias: keys.flag("use_bias", false)?,
            use_conv_bias: keys.flag("use_conv_bias", true)?,
            tie_word_embeddings: keys.flag("tie_word_embeddings", true)?,
        })
    }
}

/// A number, or `auto`: a sixteenth of `hidden_size`, rounded up.
fn rank(keys: &mut Keys, hidden_size: usize) -> Result<usize, String> {
    match keys.value("time_step_rank") {
        Some(auto) if auto == "auto" => Ok(hidden_size.div_ceil(16)),
        None => Ok(hidden_size.div_ceil(16)),
        Some(_) => keys.count("time_step_rank"),
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
pub(crate) fn build(
    file: &mut model::Config<'_>,
    tensors: &mut Tensors<'_>,
) -> Result<Built, LmError> {
    let config = file.read(Config::read, KNOWN)?;
    let shape = [config.vocab_size, config.hidden_size];
    let embedding = tensors.matrix("backbone.embeddings.weight", shape)?;
    let tied = config.tie_word_embeddings;
    let output = linear::output(tensors, "lm_head.weight", &embedding, tied)?;
    let embedded = tensors.elements();
    let layers = (0..config.num_hidden_layers)
        .map(|i| layer(tensors, &config, &format!("backbone.layers.{i}")))
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
        window: None,
        embedded,
    })
}

fn layer(tensors: &mut Tensors<'_>, config: &Config, at: &str) -> Result<Layer, LmError> {
    let (d, channels) = (config.hidden_size, config.intermediate_size);
    let (states, rank) = (config.state_size, config.rank);
    let mixer = format!("{at}.mixer");
    let mut dense = |name: &str, from: usize, to: usize, biased: bool| {
        Linear::load(tensors, &format!("{mixer}.{name}"), from, to, biased)
    };
    let input = dense("in_proj", d, 2 * channels, config.use_bias)?;
    let select = dense("x_proj", channels, rank + 2 * states, false)?;
    let step = dense("dt_proj", rank, channels, true)?;
    let output = dense("out_proj", channels, d, config.use_bias)?;
    let logarithms = tensors.values(&format!("{mixer}.A_log"), &[channels, states])?;
    let kernel = [channels, 1, config.conv_kernel];
    let scan = Scan {
        convolution: tensors.values(&format!("{mixer}.conv1d.weight"), &kernel)?,
        convolution_bias: linear::bias(
            tensors,
            &format!("{mixer}.conv1d"),
            channels,
            config.use_conv_bias,
        )?,
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
