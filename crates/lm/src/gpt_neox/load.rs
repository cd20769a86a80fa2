//! The model's parts out of its tensors.

use super::config::Config;
use super::model::{Layer, Linear, Norm};
use crate::LmError;
use crate::kernels::Matrix;
use crate::weights::Tensors;

pub(super) struct Loader<'a, 't> {
    pub(super) tensors: &'a mut Tensors<'t>,
    pub(super) config: &'a Config,
}

impl Loader<'_, '_> {
    pub(super) fn output(&mut self, embedding: &Matrix) -> Result<Matrix, LmError> {
        let name = "embed_out.weight";
        if self.config.tie_word_embeddings {
            self.tensors.discard(name);
            return Ok(embedding.clone());
        }
        let shape = [self.config.vocab_size, self.config.hidden_size];
        self.tensors.matrix(name, shape)
    }

    pub(super) fn layer(&mut self, at: &str) -> Result<Layer, LmError> {
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

    pub(super) fn norm(&mut self, at: &str) -> Result<Norm, LmError> {
        let width = self.config.hidden_size;
        Ok(Norm {
            weight: self.tensors.vector(&format!("{at}.weight"), width)?,
            bias: self.tensors.vector(&format!("{at}.bias"), width)?,
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
        let weight = self.tensors.matrix(&format!("{at}.weight"), [to, from])?;
        let bias = if biased {
            self.tensors.vector(&format!("{at}.bias"), to)?
        } else {
            vec![0.0; to]
        };
        Ok(Linear { weight, bias })
    }
}
