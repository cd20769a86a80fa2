//! The kernels as tensor operations.
//!
//! Each takes contiguous f32 tensors. The CPU implementation is here; a device that has none says
//! so in its error.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::attention::{Heads, Rotary, causal_attention};
use super::log_probs::target_log_probs;
use super::matmul::{Matrix, matmul};
use super::norm;
use super::vector_math::{Activation, bias_activation};

/// The elements of a contiguous tensor.
fn elements<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => candle_core::bail!("operand is not contiguous"),
    }
}

fn expect(holds: bool, what: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        candle_core::bail!("{what}")
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the type that every forward returns"
)]
fn done(values: Vec<f32>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(values), shape.into()))
}

/// `x · weight` for `x` of `[tokens, in]` and `weight` stored as `[in, out]`.
pub(crate) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.apply_op2_no_bwd(weight, &Linear)
}

struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, inner) = x_layout.shape().dims2()?;
        let (rows, columns) = weight_layout.shape().dims2()?;
        expect(rows == inner, "linear: the widths differ")?;
        let x = Matrix::rows(elements(x, x_layout)?, tokens, inner, inner);
        let weight = Matrix::rows(elements(weight, weight_layout)?, rows, columns, columns);
        let mut out = vec![0.0; tokens * columns];
        matmul(&mut out, columns, x, weight);
        done(out, (tokens, columns))
    }
}

/// Layer normalisation of every row.
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    x.apply_op3_no_bwd(weight, bias, &LayerNorm { eps })
}

struct LayerNorm {
    eps: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = x_layout.shape().dims2()?;
        let weight = elements::<f32>(weight, weight_layout)?;
        let bias = elements::<f32>(bias, bias_layout)?;
        let fits = weight.len() == width && bias.len() == width;
        expect(fits, "layer-norm: the widths differ")?;
        let out = norm::layer_norm(elements(x, x_layout)?, weight, bias, self.eps);
        done(out, x_layout.shape().clone())
    }
}

/// `x + (y + bias)` for `x` and `y` of the same shape.
pub(crate) fn add_with_bias(x: &Tensor, y: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.apply_op3_no_bwd(y, bias, &AddWithBias)
}

struct AddWithBias;

impl CustomOp3 for AddWithBias {
    fn name(&self) -> &'static str {
        "add-with-bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = x_layout.shape().dims2()?;
        let bias = elements::<f32>(bias, bias_layout)?;
        let fits = bias.len() == width && x_layout.shape() == y_layout.shape();
        expect(fits, "add-with-bias: the shapes differ")?;
        let out = norm::add_with_bias(elements(x, x_layout)?, elements(y, y_layout)?, bias);
        done(out, x_layout.shape().clone())
    }
}

/// `activation(x + bias)`.
pub(crate) fn activate(x: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    x.apply_op2_no_bwd(bias, &BiasActivation { activation })
}

struct BiasActivation {
    activation: Activation,
}

impl CustomOp2 for BiasActivation {
    fn name(&self) -> &'static str {
        "bias-activation"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = x_layout.shape().dims2()?;
        let bias = elements::<f32>(bias, bias_layout)?;
        expect(bias.len() == width, "bias-activation: the widths differ")?;
        let mut out = elements(x, x_layout)?.to_vec();
        bias_activation(&mut out, bias, self.activation);
        done(out, x_layout.shape().clone())
    }
}

/// Causal attention of `qkv` (`[tokens, heads × 3 × size]`); gives `[tokens, heads × size]`.
pub(crate) fn attention(
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    rotary: &Rotary,
) -> Result<Tensor> {
    qkv.apply_op2_no_bwd(bias, &Attention { heads, rotary })
}

struct Attention<'a> {
    heads: usize,
    rotary: &'a Rotary,
}

impl CustomOp2 for Attention<'_> {
    fn name(&self) -> &'static str {
        "causal-attention"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        qkv_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = qkv_layout.shape().dims2()?;
        let bias = elements::<f32>(bias, bias_layout)?;
        let fits = bias.len() == width && width.is_multiple_of(3 * self.heads);
        expect(fits, "causal-attention: the widths differ")?;
        let heads = Heads {
            count: self.heads,
            size: width / (3 * self.heads),
        };
        let out = causal_attention(elements(qkv, qkv_layout)?, bias, heads, self.rotary);
        done(out, (tokens, width / 3))
    }
}

/// ln p of each target (`u32`, `[tokens]`) given its row of `hidden` (`[tokens, width]`) and the
/// output matrix stored as `[width, vocabulary]`; gives `[tokens]`.
pub(crate) fn log_probs(hidden: &Tensor, output: &Tensor, targets: &Tensor) -> Result<Tensor> {
    hidden.apply_op3_no_bwd(output, targets, &TargetLogProbs)
}

struct TargetLogProbs;

impl CustomOp3 for TargetLogProbs {
    fn name(&self) -> &'static str {
        "target-log-probs"
    }

    fn cpu_fwd(
        &self,
        hidden: &CpuStorage,
        hidden_layout: &Layout,
        output: &CpuStorage,
        output_layout: &Layout,
        targets: &CpuStorage,
        targets_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = hidden_layout.shape().dims2()?;
        let (rows, vocabulary) = output_layout.shape().dims2()?;
        let targets = elements::<u32>(targets, targets_layout)?;
        let known = targets.iter().all(|t| (*t as usize) < vocabulary);
        let fits = rows == width && targets.len() == tokens && known;
        expect(fits, "target-log-probs: the shapes differ")?;
        let hidden = elements(hidden, hidden_layout)?;
        let out = target_log_probs(hidden, elements(output, output_layout)?, targets);
        done(out, tokens)
    }
}
