//! A GGUF file's metadata in the words of Hugging Face's config.json.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::header::Header;
use crate::keys::{Keys, Known};

/// (llama.cpp behind the architecture's name, Hugging Face)
const KEYS: [(&str, &str); 8] = [
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("context_length", "max_position_embeddings"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.sliding_window", "sliding_window"),
    ("expert_used_count", "num_experts_per_tok"),
];

/// The same of keys that are read one by one.
const READ: [(&str, &str); 4] = [
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("expert_count", "num_local_experts"),
    ("rope.freq_base", "rope_theta"),
];

/// Keys of an architecture that the forward pass does not depend on.
const KNOWN: &[Known] = &[
    // Only scalings that are refused read them.
    Known::Any("rope.scaling.original_context_length"),
    Known::Any("rope.scaling.finetuned"),
    Known::Only("rope.scaling.attn_factor", &["1"]),
    // The order of rows before conversion: llama.cpp has one only.
    Known::Any("tensor_data_layout"),
    // Variants, switched off. llama.cpp takes 0 as no scale.
    Known::Only("use_parallel_residual", &["false"]),
    Known::Only("attention.causal", &["true"]),
    Known::Only("attention.clamp_kqv", &["0"]),
    Known::Only("attention.max_alibi_bias", &["0"]),
    Known::Only("attention.scale", &["0"]),
    Known::Only("logit_scale", &["0", "1"]),
    Known::Only("embedding_scale", &["0", "1"]),
    Known::Only("residual_scale", &["0", "1"]),
    Known::Only("expert_shared_count", &["0"]),
    Known::Only("expert_weights_scale", &["0", "1"]),
];

/// Keys behind `general.`. Those of the groups below do not matter either.
const GENERAL: &[Known] = &[
    // Read with the header.
    Known::Any("architecture"),
    Known::Any("alignment"),
    // Each tensor says how it is stored; blocks have had one layout since GGUF is there.
    Known::Any("file_type"),
    Known::Only("quantization_version", &["2"]),
    Known::Only("type", &["\"model\""]),
    // Names and origins.
    Known::Any("name"),
    Known::Any("author"),
    Known::Any("version"),
    Known::Any("organization"),
    Known::Any("basename"),
    Known::Any("finetune"),
    Known::Any("description"),
    Known::Any("quantized_by"),
    Known::Any("size_label"),
    Known::Any("license"),
    Known::Any("url"),
    Known::Any("doi"),
    Known::Any("uuid"),
    Known::Any("repo_url"),
    Known::Any("source_url"),
    Known::Any("source_hf_repo"),
    Known::Any("parameter_count"),
    Known::Any("tags"),
    Known::Any("languages"),
    Known::Any("datasets"),
];

/// A file that is all of a model.
const SPLIT: &[Known] = &[
    Known::Only("split.no", &["0"]),
    Known::Only("split.count", &["0", "1"]),
    Known::Any("split.tensors.count"),
];

/// Groups of keys that do not matter: origins, settings for generation, what quantisation was measured on; and
/// the tokenizer, because text is tokenized by a tokenizer.json.
const GROUPS: [&str; 8] = [
    "general.base_model.",
    "general.source.",
    "general.dataset.",
    "general.license.",
    "general.sampling.",
    "quantize.imatrix.",
    "mradermacher.",
    "tokenizer.",
];

/// What the metadata says.
pub(super) struct Translated {
    /// Keys in the words of config.json.
    pub(super) keys: Keys,
    /// Heads that query, and those with keys and values.
    pub(super) heads: [usize; 2],
}

/// Makes a config.json of the header's metadata, without the keys to ignore.
///
/// # Errors
/// What is missing or not supported, as a lowercase fragment.
pub(super) fn translate(header: &Header, ignore: &BTreeSet<String>) -> Result<Translated, String> {
    let mut metadata = Metadata::of(header, ignore);
    let keys = &mut metadata.own;
    let experts = keys.value("expert_count").filter(|n| *n != 0);
    let name = architecture(header, experts.is_some())?;
    let heads = keys.count("attention.head_count")?;
    let shared = keys.count_if("attention.head_count_kv")?.unwrap_or(heads);
    let (mut config, mut spelled) = renamed(keys);
    let factor = scaling(keys)?;
    let scaling = factor.map(|(name, factor)| {
        spelled.insert("rope_scaling.factor".into(), name);
        json!({"rope_type": "linear", "factor": factor})
    });
    let windowed = keys.value("attention.sliding_window").filter(|n| *n != 0);
    let own = json!({
        "architectures": [name],
        "vocab_size": vocabulary(header, keys)?,
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "num_local_experts": experts,
        "rope_theta": keys.number_if("rope.freq_base")?.unwrap_or(10_000.0),
        "rope_scaling": scaling,
        "tie_word_embeddings": ignore.contains(OUTPUT) || header.tensor(OUTPUT).is_none(),
        "sliding_window": windowed,
    });
    config.extend(own.as_object().cloned().unwrap_or_default());
    if windowed.is_some() && name == "Qwen2ForCausalLM" {
        config.insert("use_sliding_window".into(), true.into());
        config.insert("max_window_layers".into(), 0.into());
    }
    if experts.is_none() && config.get("num_experts_per_tok") == Some(&json!(0)) {
        config.remove("num_experts_per_tok");
    }
    check_layers(keys, heads)?;
    metadata.finish()?;
    Ok(Translated {
        keys: Keys::new(config, &BTreeSet::new()).spelled(spelled),
        heads: [heads, shared],
    })
}

/// What Hugging Face calls the architecture.
fn architecture(header: &Header, has_experts: bool) -> Result<&'static str, String> {
    match (header.architecture(), has_experts) {
        ("llama", false) => Ok("LlamaForCausalLM"),
        ("llama", true) => Ok("MixtralForCausalLM"),
        ("qwen2", false) => Ok("Qwen2ForCausalLM"),
        (other, _) => Err(format!(
            "architecture `{other}` is not supported in GGUF: expected llama or qwen2"
        )),
    }
}

/// Keys that only have another name, and the names in the file of all that go into the config.
fn renamed(keys: &mut Keys) -> (Map<String, Value>, BTreeMap<String, String>) {
    let copy = |(theirs, ours): &(&str, &str)| {
        let value = keys.value(theirs).unwrap_or_default();
        ((*ours).to_owned(), value)
    };
    let config = KEYS.iter().map(copy).collect();
    let both = KEYS.iter().chain(&READ);
    let spelled = both.map(|(theirs, ours)| ((*ours).to_owned(), keys.name(theirs)));
    (config, spelled.collect())
}

/// The tensor that is missing where the embedding stands in for it.
const OUTPUT: &str = "output.weight";

/// The metadata by whom it is for.
struct Metadata {
    /// The file's architecture.
    own: Keys,
    /// Every file.
    general: Keys,
    rest: Keys,
}

impl Metadata {
    /// Splits the metadata up, without what does not matter or is to be ignored.
    fn of(header: &Header, ignore: &BTreeSet<String>) -> Self {
        let prefix = format!("{}.", header.architecture());
        let [mut own, mut general, mut rest] = [Map::new(), Map::new(), Map::new()];
        for (key, value) in &header.metadata {
            if ignore.contains(key) || GROUPS.iter().any(|group| key.starts_with(group)) {
                continue;
            }
            let (map, key) = match (key.strip_prefix(&prefix), key.strip_prefix("general.")) {
                (Some(key), _) => (&mut own, key),
                (None, Some(key)) => (&mut general, key),
                (None, None) => (&mut rest, key.as_str()),
            };
            map.insert(key.to_owned(), value.clone());
        }
        Self {
            own: Keys::nested(header.architecture(), own),
            general: Keys::nested("general", general),
            rest: Keys::new(rest, ignore),
        }
    }

    fn finish(&self) -> Result<(), String> {
        self.general.finish(&[GENERAL])?;
        self.rest.finish(&[SPLIT])?;
        self.own.finish(&[KNOWN])
    }
}

/// Rows of the embedding, which the metadata may name, too.
fn vocabulary(header: &Header, keys: &mut Keys) -> Result<Option<usize>, String> {
    let embedding = header.tensor("token_embd.weight");
    let embedding = embedding.ok_or("tensor `token_embd.weight` is missing")?;
    let rows = embedding.shape.first().copied();
    match keys.count_if("vocab_size")? {
        Some(named) if Some(named) != rows => {
            let expected = format!(
                "{} as rows of `token_embd.weight`",
                rows.unwrap_or_default()
            );
            Err(keys.wrong("vocab_size", &named.into(), &expected))
        }
        _ => Ok(rows),
    }
}

/// What positions are divided by, behind the name of the key, as llama.cpp reads it: a factor without a kind
/// means linear scaling.
fn scaling(keys: &mut Keys) -> Result<Option<(String, f64)>, String> {
    let factor = keys.agreed(&["rope.scaling.factor", "rope.scale_linear"])?;
    let factor = factor.filter(|(_, n)| *n != 0.0);
    match keys.value("rope.scaling.type") {
        Some(kind) if kind == "none" => Ok(None),
        Some(kind) if kind != "linear" => {
            Err(keys.wrong("rope.scaling.type", &kind, "none or linear"))
        }
        _ => Ok(factor),
    }
}

/// Refuses heads of which a part is rotated, or with values of another size, and norms without an epsilon.
fn check_layers(keys: &mut Keys, heads: usize) -> Result<(), String> {
    // llama.cpp has no default for it.
    let epsilon = "attention.layer_norm_rms_epsilon";
    if keys.number_if(epsilon)?.is_none() {
        return Err(format!(
            "`{}` is missing, expected a number",
            keys.name(epsilon)
        ));
    }
    let width = keys.count("embedding_length")?;
    let size = keys
        .count_if("attention.key_length")?
        .unwrap_or(width / heads);
    for key in ["rope.dimension_count", "attention.value_length"] {
        if let Some(other) = keys.count_if(key)?.filter(|n| *n != size) {
            let expected = format!("{size}, the elements of a head");
            return Err(keys.wrong(key, &other.into(), &expected));
        }
    }
    Ok(())
}
