//! `config.json` of a model of the Llama type.

use serde_json::Value;

use crate::keys::{Keys, Known, Rope, RopeKeys};

/// More positions than any model has; guards the position tables against a damaged file.
const MAX_CONTEXT: usize = 1 << 20;

/// What an architecture does that another of the type does not, by its own class in Transformers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// Queries, keys and values have biases whatever the config says.
    pub(super) qkv_bias: bool,
    /// `attention_bias` and `mlp_bias` are read.
    optional_biases: bool,
    experts: bool,
    window: WindowRule,
    /// Heads with keys and values where the config does not say; all where there is no number.
    shared_heads: Option<usize>,
    eps: f64,
    base: f64,
}

/// Which positions see only the last ones.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WindowRule {
    /// All, if the config names a window; with the window of a config that does not say.
    Named(Option<usize>),
    /// Those of some layers, if `use_sliding_window` says so.
    Asked,
}

const LLAMA: Family = Family {
    qkv_bias: false,
    optional_biases: true,
    experts: false,
    window: WindowRule::Named(None),
    shared_heads: None,
    eps: 1e-6,
    base: 10_000.0,
};

impl Family {
    pub(super) fn of(architecture: &str) -> Self {
        let plain = Self {
            optional_biases: false,
            ..LLAMA
        };
        match architecture {
            "MistralForCausalLM" => Self {
                window: WindowRule::Named(Some(4096)),
                shared_heads: Some(8),
                ..plain
            },
            "MixtralForCausalLM" => Self {
                experts: true,
                shared_heads: Some(8),
                eps: 1e-5,
                base: 1e6,
                ..plain
            },
            "Qwen2ForCausalLM" => Self {
                qkv_bias: true,
                window: WindowRule::Asked,
                shared_heads: Some(32),
                ..plain
            },
            _ => LLAMA,
        }
    }

    /// Keys of config.json that the forward pass does not depend on.
    pub(super) fn known(self) -> &'static [Known] {
        match (self.experts, self.qkv_bias) {
            (true, _) => MIXTRAL_KNOWN,
            (_, true) => QWEN2_KNOWN,
            _ => KNOWN,
        }
    }
}

const KNOWN: &[Known] = &[
    // A window is taken as one whatever this says; only Qwen2 reads it.
    Known::Any("use_sliding_window"),
    Known::Any("max_window_layers"),
];

const MIXTRAL_KNOWN: &[Known] = &[
    // Training.
    Known::Any("router_jitter_noise"),
    Known::Any("use_sliding_window"),
];

const QWEN2_KNOWN: &[Known] = &[
    Known::Only("qkv_bias", &["true"]),
    // Positions of pictures, which it has none of.
    Known::Only("use_mrope", &["false"]),
];

/// What the forward pass needs to know, under Hugging Face's names.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    /// Heads that have keys and values.
    pub(super) shared_heads: usize,
    /// Elements of a head.
    pub(super) head_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) vocab_size: usize,
    pub(super) rms_norm_eps: f64,
    pub(super) tie_word_embeddings: bool,
    pub(super) attention_bias: bool,
    pub(super) mlp_bias: bool,
    pub(super) rope: Rope,
    /// The last positions that one sees, where it does not see all.
    pub(super) window: Option<usize>,
    /// Experts of each layer and those that a token is sent to; a dense feed-forward without.
    pub(super) experts: Option<(usize, usize)>,
}

impl Config {
    /// Reads and checks it.
    pub(super) fn read(keys: &mut Keys, family: Family) -> Result<Self, String> {
        let heads = keys.count("num_attention_heads")?;
        let hidden_size = keys.count("hidden_size")?;
        let layers = keys.count("num_hidden_layers")?;
        keys.choice("hidden_act", "silu", &[("silu", ())])?;
        let mut biased = [false; 2];
        if family.optional_biases {
            biased = [
                keys.flag("attention_bias", false)?,
                keys.flag("mlp_bias", false)?,
            ];
        }
        let [attention_bias, mlp_bias] = biased;
        Ok(Self {
            hidden_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            shared_heads: shared_heads(keys, heads, family)?,
            head_size: head_size(keys, hidden_size, heads)?,
            intermediate_size: keys.count("intermediate_size")?,
            max_position_embeddings: context(keys)?,
            vocab_size: keys.count("vocab_size")?,
            rms_norm_eps: keys.epsilon("rms_norm_eps", family.eps)?,
            tie_word_embeddings: keys.flag("tie_word_embeddings", false)?,
            attention_bias,
            mlp_bias,
            rope: rope(keys, family)?,
            window: window(keys, family, layers)?,
            experts: family.experts.then(|| experts(keys)).transpose()?,
        })
    }
}

fn shared_heads(keys: &mut Keys, heads: usize, family: Family) -> Result<usize, String> {
    let key = "num_key_value_heads";
    let default = family.shared_heads.filter(|_| !keys.has(key));
    let shared = keys.count_if(key)?.or(default).unwrap_or(heads);
    if heads.is_multiple_of(shared) {
        return Ok(shared);
    }
    Err(keys.wrong(key, &shared.into(), &format!("a divisor of {heads} heads")))
}

fn head_size(keys: &mut Keys, hidden: usize, heads: usize) -> Result<usize, String> {
    let size = keys.count_if("head_dim")?;
    if size.is_none() && !hidden.is_multiple_of(heads) {
        let expected = format!("a multiple of {heads} heads");
        return Err(keys.wrong("hidden_size", &hidden.into(), &expected));
    }
    let size = size.unwrap_or(hidden / heads);
    if size > 0 && size.is_multiple_of(2) {
        return Ok(size);
    }
    Err(format!(
        "a head has {size} elements (`{}`, or `{}` by `{}`), expected an even number",
        keys.name("head_dim"),
        keys.name("hidden_size"),
        keys.name("num_attention_heads")
    ))
}

fn context(keys: &mut Keys) -> Result<usize, String> {
    let key = "max_position_embeddings";
    let context = keys.count(key)?;
    if (2..=MAX_CONTEXT).contains(&context) {
        return Ok(context);
    }
    Err(keys.wrong(key, &context.into(), "a number from 2 to 1048576"))
}

fn rope(keys: &mut Keys, family: Family) -> Result<Rope, String> {
    let rope = RopeKeys {
        base: &["rope_theta"],
        default_base: family.base,
        fraction: &["partial_rotary_factor"],
        default_fraction: 1.0,
    };
    let rope = rope.read(keys)?;
    if rope.fraction == 1.0 {
        return Ok(rope);
    }
    let part = rope.fraction;
    Err(format!("`partial_rotary_factor` is {part}, expected 1"))
}

fn experts(keys: &mut Keys) -> Result<(usize, usize), String> {
    let all = keys.count_if("num_local_experts")?.unwrap_or(8);
    let used = keys.count_if("num_experts_per_tok")?.unwrap_or(2);
    if used <= all {
        return Ok((all, used));
    }
    let expected = format!("at most the {all} experts");
    Err(keys.wrong("num_experts_per_tok", &used.into(), &expected))
}

fn window(keys: &mut Keys, family: Family, layers: usize) -> Result<Option<usize>, String> {
    let is_named = keys.has("sliding_window");
    let named = keys.count_if("sliding_window")?;
    let kinds = layer_kinds(keys)?;
    match family.window {
        WindowRule::Named(default) => Ok(named.or(default.filter(|_| !is_named))),
        WindowRule::Asked => {
            let first = keys.value("max_window_layers").unwrap_or(28.into());
            let Some(first) = first.as_u64() else {
                return Err(keys.wrong("max_window_layers", &first, "a whole number"));
            };
            let asked = keys.flag("use_sliding_window", false)?;
            let some = kinds.unwrap_or((first as usize) < layers);
            let default = (!is_named).then_some(4096);
            Ok(named.or(default).filter(|_| asked && some))
        }
    }
}

/// Whether some layer slides, if the config has a list of them.
fn layer_kinds(keys: &mut Keys) -> Result<Option<bool>, String> {
    let Some(kinds) = keys.value("layer_types") else {
        return Ok(None);
    };
    let known = |kind: &Value| kind == "full_attention" || kind == "sliding_attention";
    match kinds.as_array() {
        Some(list) if list.iter().all(known) => {
            Ok(Some(list.iter().any(|kind| kind == "sliding_attention")))
        }
        _ => Err(keys.wrong(
            "layer_types",
            &kinds,
            "a list of full_attention or sliding_attention",
        )),
    }
}

#[cfg(test)]
mod tests;
