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
///
/// # Errors
/// When it is missing and not tied, and when it is tied and the file has another one.
pub(crate) fn output(
    tensors: &mut Tensors<'_>,
    name: &str,
    embedding: &Matrix,
    tied: bool,
) -> Result<Matrix, LmError> {
    let shape = [embedding.rows(), embedding.columns()];
    if !tied {
        if tensors.has(name) {
            return tensors.matrix(name, shape);
        }
        return Err(tensors.refuse(format!(
            "the output matrix `{name}` of shape {shape:?} is missing, and `tie_word_embeddings` of the config \
             does not say that it is the embedding"
        )));
    }
    match tensors.spare_matrix(name, shape)? {
        Some(other) if !other.equals(embedding) => Err(tensors.refuse(format!(
            "`tie_word_embeddings` says that the output matrix is the embedding, but the file has another one as \
             `{name}`: `ignore: [{name}]` of the stage `score` takes the embedding"
        ))),
        _ => Ok(embedding.clone()),
    }
}
