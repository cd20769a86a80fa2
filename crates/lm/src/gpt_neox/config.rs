//! `config.json` of a GPT-NeoX model, in the older and the newer spelling of Transformers.

use serde::Deserialize;
use serde_json::Value;

use crate::kernels::Activation;

/// Its name in config.json.
pub(crate) const ARCHITECTURE: &str = "GPTNeoXForCausalLM";
/// More positions than any model has; guards the position tables against a damaged file.
const MAX_CONTEXT: usize = 1 << 20;

/// What the forward pass needs to know. Fields carry Hugging Face's names; others are ignored.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    /// Elements of the residual stream.
    pub(crate) hidden_size: usize,
    /// Layers.
    pub(crate) num_hidden_layers: usize,
    /// Attention heads of each layer.
    pub(crate) num_attention_heads: usize,
    /// Elements of the feed-forward layer.
    pub(crate) intermediate_size: usize,
    /// Positions that the model was built for: the context.
    pub(crate) max_position_embeddings: usize,
    /// Rows of the embedding matrices.
    pub(crate) vocab_size: usize,
    /// Name of the activation.
    #[serde(default = "gelu")]
    pub(crate) hidden_act: String,
    /// Added to the variance in layer normalisation.
    #[serde(default = "default_eps")]
    pub(crate) layer_norm_eps: f64,
    /// Whether attention and feed-forward read the same input.
    #[serde(default = "yes")]
    pub(crate) use_parallel_residual: bool,
    /// Whether the output matrix is the input embedding.
    #[serde(default)]
    pub(crate) tie_word_embeddings: bool,
    /// Whether the attention layers have biases.
    #[serde(default = "yes")]
    pub(crate) attention_bias: bool,
    rotary_pct: Option<f64>,
    partial_rotary_factor: Option<f64>,
    rotary_emb_base: Option<f64>,
    rope_theta: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct RopeParameters {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

fn gelu() -> String {
    "gelu".into()
}

fn default_eps() -> f64 {
    1e-5
}

fn yes() -> bool {
    true
}

impl Config {
    /// Checks what types cannot.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
        ] {
            if value == 0 || value > 1 << 24 {
                return Err(format!("{name} is {value}"));
            }
        }
        if !(2..=MAX_CONTEXT).contains(&self.max_position_embeddings) {
            let n = self.max_position_embeddings;
            return Err(format!("max_position_embeddings is {n}"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let (d, n) = (self.hidden_size, self.num_attention_heads);
            return Err(format!("hidden_size {d} is not a multiple of {n} heads"));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(format!("layer_norm_eps is {}", self.layer_norm_eps));
        }
        self.activation()?;
        self.check_rotary()
    }

    fn check_rotary(&self) -> Result<(), String> {
        let (fraction, base) = (self.rotary_fraction(), self.rotary_base());
        if !(0.0..=1.0).contains(&fraction) {
            return Err(format!("rotary_pct is {fraction}"));
        }
        if !(base > 0.0 && base.is_finite()) {
            return Err(format!("rotary_emb_base is {base}"));
        }
        if !self.rotary_dims().is_multiple_of(2) {
            let n = self.rotary_dims();
            return Err(format!(
                "rotary_pct {fraction} gives an odd number ({n}) of elements"
            ));
        }
        let kind = self
            .rope_parameters
            .as_ref()
            .and_then(|r| r.rope_type.as_deref());
        if kind.is_some_and(|kind| kind != "default") {
            return Err(format!(
                "rope_type {kind:?} is not supported, only `default`"
            ));
        }
        match &self.rope_scaling {
            None | Some(Value::Null) => Ok(()),
            Some(scaling) => Err(format!("rope_scaling {scaling} is not supported")),
        }
    }

    pub(crate) fn activation(&self) -> Result<Activation, String> {
        match self.hidden_act.as_str() {
            "gelu" => Ok(Activation::GeluErf),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            other => Err(format!(
                "hidden_act `{other}` is not supported: expected gelu, gelu_new, gelu_fast or gelu_pytorch_tanh"
            )),
        }
    }

    pub(crate) fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Elements of a head that are rotated.
    pub(crate) fn rotary_dims(&self) -> usize {
        (self.head_size() as f64 * self.rotary_fraction()) as usize
    }

    fn rotary_fraction(&self) -> f64 {
        let newer = self.rope_parameters.as_ref();
        newer
            .and_then(|r| r.partial_rotary_factor)
            .or(self.rotary_pct)
            .or(self.partial_rotary_factor)
            .unwrap_or(0.25)
    }

    pub(crate) fn rotary_base(&self) -> f64 {
        let newer = self.rope_parameters.as_ref();
        newer
            .and_then(|r| r.rope_theta)
            .or(self.rotary_emb_base)
            .or(self.rope_theta)
            .unwrap_or(10_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: &str, to: &str) -> Result<Config, String> {
        let text = r#"{"architectures": ["GPTNeoXForCausalLM"], "hidden_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 16,
            "vocab_size": 10, "rotary_pct": 1.0, "unknown": 3}"#;
        let config: Config =
            serde_json::from_str(&text.replace(change, to)).map_err(|e| e.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn both_spellings_of_the_rotary_settings_are_read() {
        assert_eq!(read("", "").unwrap().rotary_dims(), 4);
        let newer = r#""rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}"#;
        let config = read("\"rotary_pct\": 1.0", newer).unwrap();
        assert_eq!(config.rotary_dims(), 2);
        assert!((config.rotary_base() - 500.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (change, to, expected) in [
            ("\"unknown\": 3", "\"hidden_act\": \"silu\"", "silu"),
            (
                "\"hidden_size\": 8",
                "\"hidden_size\": 9",
                "not a multiple of 2 heads",
            ),
            (
                "\"hidden_size\": 8",
                "\"hidden_size\": 0",
                "hidden_size is 0",
            ),
            (
                "\"unknown\": 3",
                "\"rope_scaling\": {\"type\": \"linear\"}",
                "rope_scaling",
            ),
            ("\"vocab_size\": 10", "\"vocab_size\": \"ten\"", "line 3"),
        ] {
            let error = read(change, to).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
