//! `config.json` of a GPT-NeoX model, in the older and the newer spelling of Transformers.

use crate::kernels::Activation;
use crate::keys::{Keys, Known, Rope, RopeKeys};

/// Its name in config.json.
pub(crate) const ARCHITECTURE: &str = "GPTNeoXForCausalLM";
/// More positions than any model has; guards the position tables against a damaged file.
const MAX_CONTEXT: usize = 1 << 20;

const ACTIVATIONS: [(&str, Activation); 4] = [
    ("gelu", Activation::GeluErf),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
];

/// Keys that the forward pass does not depend on: how long it was trained.
pub(super) const KNOWN: &[Known] = &[Known::Any("num_steps")];

const ROPE: RopeKeys = RopeKeys {
    base: &["rotary_emb_base", "rope_theta"],
    default_base: 10_000.0,
    fraction: &["rotary_pct", "partial_rotary_factor"],
    default_fraction: 0.25,
};

/// What the forward pass needs to know, under Hugging Face's names.
#[derive(Clone, Debug)]
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
    /// What the feed-forward layer does to each element.
    pub(crate) activation: Activation,
    /// Added to the variance in layer normalisation.
    pub(crate) layer_norm_eps: f64,
    /// Whether attention and feed-forward read the same input.
    pub(crate) use_parallel_residual: bool,
    /// Whether the output matrix is the input embedding.
    pub(crate) tie_word_embeddings: bool,
    /// Whether the attention layers have biases.
    pub(crate) attention_bias: bool,
    /// How positions are rotated.
    pub(crate) rope: Rope,
}

impl Config {
    /// Reads and checks it.
    pub(super) fn read(keys: &mut Keys) -> Result<Self, String> {
        let config = Self {
            hidden_size: keys.count("hidden_size")?,
            num_hidden_layers: keys.count("num_hidden_layers")?,
            num_attention_heads: keys.count("num_attention_heads")?,
            intermediate_size: keys.count("intermediate_size")?,
            max_position_embeddings: keys.count("max_position_embeddings")?,
            vocab_size: keys.count("vocab_size")?,
            activation: keys.choice("hidden_act", "gelu", &ACTIVATIONS)?,
            layer_norm_eps: keys.epsilon("layer_norm_eps", 1e-5)?,
            use_parallel_residual: keys.flag("use_parallel_residual", true)?,
            tie_word_embeddings: keys.flag("tie_word_embeddings", false)?,
            attention_bias: keys.flag("attention_bias", true)?,
            rope: ROPE.read(keys)?,
        };
        config.check(keys).map(|()| config)
    }

    /// Checks what each key alone cannot.
    fn check(&self, keys: &Keys) -> Result<(), String> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if !width.is_multiple_of(heads) {
            let expected = format!("a multiple of {heads} heads");
            return Err(keys.wrong("hidden_size", &width.into(), &expected));
        }
        let context = self.max_position_embeddings;
        if !(2..=MAX_CONTEXT).contains(&context) {
            let expected = "a number from 2 to 1048576";
            return Err(keys.wrong("max_position_embeddings", &context.into(), expected));
        }
        if self.rotary_dims().is_multiple_of(2) {
            return Ok(());
        }
        let (part, odd) = (self.rope.fraction, self.rotary_dims());
        Err(format!(
            "`rotary_pct` {part} rotates {odd} elements of a head, expected an even number"
        ))
    }

    pub(crate) fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Elements of a head that are rotated.
    pub(crate) fn rotary_dims(&self) -> usize {
        (self.head_size() as f64 * self.rope.fraction) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::keys::COMMON;

    fn read(change: Value) -> Result<Config, String> {
        let mut values = json!({"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "max_position_embeddings": 16, "vocab_size": 10, "is_decoder": false});
        for (key, value) in change.as_object().unwrap() {
            values[key] = value.clone();
        }
        let mut keys = Keys::new(values.as_object().unwrap().clone(), &BTreeSet::new());
        let config = Config::read(&mut keys)?;
        keys.finish(&[KNOWN, COMMON]).map(|()| config)
    }

    #[test]
    fn both_spellings_of_the_rotary_settings_are_read() {
        assert_eq!(read(json!({"rotary_pct": 1})).unwrap().rotary_dims(), 4);
        let config = read(json!({"rope_parameters":
            {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}}));
        let config = config.unwrap();
        assert_eq!((config.rotary_dims(), config.rope.base), (2, 500.0));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (change, expected) in [
            (
                json!({"hidden_act": "silu"}),
                "`hidden_act` is \"silu\", expected gelu",
            ),
            (
                json!({"hidden_size": 9}),
                "`hidden_size` is 9, expected a multiple of 2 heads",
            ),
            (json!({"hidden_size": 0}), "`hidden_size` is 0"),
            (
                json!({"rotary_pct": 0.75}),
                "`rotary_pct` 0.75 rotates 3 elements",
            ),
            (
                json!({"rotary_pct": 1, "rope_scaling": {"type": "yarn"}}),
                "`rope_scaling.type` is \"yarn\"",
            ),
            (
                json!({"rotary_pct": 1, "vocab_size": "ten"}),
                "`vocab_size` is \"ten\", expected a whole number",
            ),
            (json!({"rotary_pct": 1, "unknown": 3}), "`unknown` is 3"),
        ] {
            let error = read(change).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
