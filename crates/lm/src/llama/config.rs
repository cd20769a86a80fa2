//! `config.json` of a model of the Llama type.

use serde::Deserialize;
use serde_json::Value;

/// More positions than any model has; guards the position tables against a damaged file.
const MAX_CONTEXT: usize = 1 << 20;

/// What the forward pass needs to know. Fields carry Hugging Face's names; others are ignored.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Config {
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    pub(super) intermediate_size: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) vocab_size: usize,
    #[serde(default = "default_eps")]
    pub(super) rms_norm_eps: f64,
    #[serde(default)]
    pub(super) tie_word_embeddings: bool,
    #[serde(default)]
    pub(super) attention_bias: bool,
    #[serde(default)]
    pub(super) mlp_bias: bool,
    #[serde(default = "silu")]
    hidden_act: String,
    rope_theta: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<Value>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    /// Experts of each layer; a dense feed-forward where there are none.
    pub(super) num_local_experts: Option<usize>,
    /// Experts that each token is sent to.
    pub(super) num_experts_per_tok: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
struct RopeParameters {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
}

fn default_eps() -> f64 {
    1e-6
}

fn silu() -> String {
    "silu".into()
}

impl Config {
    /// Heads that have keys and values.
    pub(super) fn shared_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Elements of a head.
    pub(super) fn head_size(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    pub(super) fn rotary_base(&self) -> f64 {
        let newer = self.rope_parameters.as_ref();
        newer
            .and_then(|r| r.rope_theta)
            .or(self.rope_theta)
            .unwrap_or(10_000.0)
    }

    /// Checks what types cannot, and refuses what is not implemented.
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.shared_heads()),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
        ] {
            if value == 0 || value > 1 << 24 {
                return Err(format!("{name} is {value}"));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.shared_heads()) {
            let (n, shared) = (self.num_attention_heads, self.shared_heads());
            return Err(format!(
                "{n} heads cannot share {shared} key and value heads"
            ));
        }
        if self.head_size() == 0 || !self.head_size().is_multiple_of(2) {
            return Err(format!(
                "a head has {} elements, expected an even number",
                self.head_size()
            ));
        }
        if !(2..=MAX_CONTEXT).contains(&self.max_position_embeddings) {
            return Err(format!(
                "max_position_embeddings is {}",
                self.max_position_embeddings
            ));
        }
        if self.hidden_act != "silu" {
            return Err(format!(
                "hidden_act `{}` is not supported: expected silu",
                self.hidden_act
            ));
        }
        self.check_experts()?;
        self.check_positions()
    }

    fn check_experts(&self) -> Result<(), String> {
        match (self.num_local_experts, self.num_experts_per_tok) {
            (None, _) => Ok(()),
            (Some(experts), Some(used)) if used >= 1 && used <= experts => Ok(()),
            (Some(experts), used) => Err(format!(
                "num_experts_per_tok is {used:?} of {experts} experts"
            )),
        }
    }

    fn check_positions(&self) -> Result<(), String> {
        let base = self.rotary_base();
        if !(base > 0.0 && base.is_finite()) {
            return Err(format!("rope_theta is {base}"));
        }
        let newer = self.rope_parameters.as_ref();
        if let Some(kind) = newer
            .and_then(|r| r.rope_type.as_deref())
            .filter(|k| *k != "default")
        {
            return Err(format!(
                "rope_type `{kind}` is not supported, only `default`"
            ));
        }
        if let Some(scaling) = self.rope_scaling.as_ref().filter(|v| !v.is_null()) {
            return Err(format!("rope_scaling {scaling} is not supported"));
        }
        let shorter = |window: &usize| *window < self.max_position_embeddings;
        match self.sliding_window.filter(shorter) {
            Some(window) if self.use_sliding_window != Some(false) => Err(format!(
                "attention to the last {window} positions only is not supported"
            )),
            _ => Ok(()),
        }
    }
}
