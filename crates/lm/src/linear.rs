//! Linear layers of every architecture: loading and applying.

use crate::LmError;
use crate::kernels::{After, Matrix, linear};
use crate::weights::Tensors;

/// A linear layer; the matrix stands as in its file.
pub(crate) struct Linear {
    pub(crate) weight: Matrix,
    pub(crate) bias: Vec<f32>,
}

impl Linear {
    /// Takes `AT.weight` (`[to, from]`) and, if it is biased, `AT.bias`.
    pub(crate) fn load(
        tensors: &mut Tensors<'_>,
        at: &str,
        from: usize,
        to: usize,
        biased: bool,
    ) -> Result<Self, LmError> {
        let weight = tensors.matrix(&format!("{at}.weight"), [to, from])?;
        let bias = bias(tensors, at, to, biased)?;
        Ok(Self { weight, bias })
    }

    /// Writes a row of outputs for every row of `x`.
    pub(crate) fn apply(&self, out: &mut [f32], x: &[f32], after: After) {
        self.apply_apart(out, self.weight.rows(), x, after);
    }

    /// The same, with the rows of `out` `stride` elements apart.
    pub(crate) fn apply_apart(&self, out: &mut [f32], stride: usize, x: &[f32], after: After) {
        linear(out, stride, x, &self.weight, &self.bias, after);
    }
}

/// `AT.bias`, or zeros for a layer without.
pub(crate) fn bias(
    tensors: &mut Tensors<'_>,
    at: &str,
    width: usize,
    biased: bool,
) -> Result<Vec<f32>, LmError> {
    if biased {
        tensors.vector(&format!("{at}.bias"), width)
    } else {
        Ok(vec![0.0; width])
    }
}

/// The output matrix `name`, which is the embedding where they are tied.
pub(crate) fn output(
    tensors: &mut Tensors<'_>,
    name: &str,
    embedding: &Matrix,
    tied: bool,
) -> Result<Matrix, LmError> {
    if tied {
        tensors.discard(name);
        return Ok(embedding.clone());
    }
    tensors.matrix(name, [embedding.rows(), embedding.columns()])
}
