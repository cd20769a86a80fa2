//! The model's parts out of its tensors.

use super::body::{FeedForward, Gated, Layer};
use super::config::Config;
use super::experts::Experts;
use crate::LmError;
use crate::linear::Linear;
use crate::weights::Tensors;

pub(super) struct Loader<'a, 't> {
    pub(super) tensors: &'a mut Tensors<'t>,
    pub(super) config: &'a Config,
    /// Whether queries, keys and values have biases whatever the config says (Qwen2).
    pub(super) qkv_bias: bool,
}

impl Loader<'_, '_> {
    pub(super) fn layer(&mut self, at: &str) -> Result<Layer, LmError> {
        let (d, size) = (self.config.hidden_size, self.config.head_size);
        let (queries, shared) = (
            self.config.num_attention_heads * size,
            self.config.shared_heads * size,
        );
        let attention = format!("{at}.self_attn");
        let biased = self.config.attention_bias;
        let qkv = self.qkv_bias || biased;
        Ok(Layer {
            attention_norm: self
                .tensors
                .vector(&format!("{at}.input_layernorm.weight"), d)?,
            feed_forward_norm: self
                .tensors
                .vector(&format!("{at}.post_attention_layernorm.weight"), d)?,
            query: self.linear(&format!("{attention}.q_proj"), d, queries, qkv)?,
            key: self.linear(&format!("{attention}.k_proj"), d, shared, qkv)?,
            value: self.linear(&format!("{attention}.v_proj"), d, shared, qkv)?,
            output: self.linear(&format!("{attention}.o_proj"), queries, d, biased)?,
            feed_forward: self.feed_forward(at)?,
        })
    }

    fn feed_forward(&mut self, at: &str) -> Result<FeedForward, LmError> {
        let Some((experts, used)) = self.config.experts else {
            let names = ["gate_proj", "up_proj", "down_proj"];
            let biased = self.config.mlp_bias;
            return Ok(FeedForward::Dense(self.gated(
                &format!("{at}.mlp"),
                names,
                biased,
            )?));
        };
        let at = format!("{at}.block_sparse_moe");
        let router = self.linear(
            &format!("{at}.gate"),
            self.config.hidden_size,
            experts,
            false,
        )?;
        let expert = |i| self.gated(&format!("{at}.experts.{i}"), ["w1", "w3", "w2"], false);
        Ok(FeedForward::Experts(Experts {
            router,
            experts: (0..experts).map(expert).collect::<Result<_, _>>()?,
            used,
        }))
    }

    fn gated(
        &mut self,
        at: &str,
        [gate, up, down]: [&str; 3],
        biased: bool,
    ) -> Result<Gated, LmError> {
        let (d, f) = (self.config.hidden_size, self.config.intermediate_size);
        Ok(Gated {
            gate: self.linear(&format!("{at}.{gate}"), d, f, biased)?,
            up: self.linear(&format!("{at}.{up}"), d, f, biased)?,
            down: self.linear(&format!("{at}.{down}"), f, d, biased)?,
        })
    }

    fn linear(
        &mut self,
        at: &str,
        from: usize,
        to: usize,
        biased: bool,
    ) -> Result<Linear, LmError> {
        Linear::load(self.tensors, at, from, to, biased)
    }
}
