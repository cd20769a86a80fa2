//! A GGUF file's metadata in the words of Hugging Face's config.json.

use serde_json::{Map, Value, json};

use super::header::Header;

/// (llama.cpp behind the architecture's name, Hugging Face, whether it must be there)
const KEYS: [(&str, &str, bool); 11] = [
    ("embedding_length", "hidden_size", true),
    ("block_count", "num_hidden_layers", true),
    ("feed_forward_length", "intermediate_size", true),
    ("context_length", "max_position_embeddings", true),
    ("attention.head_count", "num_attention_heads", true),
    ("attention.head_count_kv", "num_key_value_heads", false),
    ("attention.key_length", "head_dim", false),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps", true),
    ("attention.sliding_window", "sliding_window", false),
    ("rope.freq_base", "rope_theta", false),
    ("expert_used_count", "num_experts_per_tok", false),
];

/// Makes a config.json of the header's metadata.
///
/// # Errors
/// What is missing or not supported, as a lowercase fragment.
pub(super) fn translate(header: &Header) -> Result<Value, String> {
    let experts = integer(header, "expert_count").filter(|n| *n > 0);
    let name = match (header.architecture(), experts) {
        ("llama", None) => "LlamaForCausalLM",
        ("llama", Some(_)) => "MixtralForCausalLM",
        ("qwen2", None) => "Qwen2ForCausalLM",
        (other, _) => {
            return Err(format!(
                "architecture `{other}` is not supported in GGUF: expected llama or qwen2"
            ));
        }
    };
    check_positions(header)?;
    let embedding = header.tensor("token_embd.weight");
    let embedding = embedding.ok_or("tensor `token_embd.weight` is missing")?;
    let mut config = Map::new();
    config.insert("architectures".into(), json!([name]));
    config.insert("vocab_size".into(), json!(embedding.shape.first()));
    config.insert("num_local_experts".into(), json!(experts));
    let tied = header.tensor("output.weight").is_none();
    config.insert("tie_word_embeddings".into(), json!(tied));
    for (theirs, ours, needed) in KEYS {
        match value(header, theirs) {
            Some(value) => {
                config.insert(ours.into(), value.clone());
            }
            None if needed => {
                let architecture = header.architecture();
                return Err(format!(
                    "`{architecture}.{theirs}` is missing or no single value"
                ));
            }
            None => {}
        }
    }
    Ok(Value::Object(config))
}

/// Refuses rotations that are not those of the plain architecture.
fn check_positions(header: &Header) -> Result<(), String> {
    let scaling = value(header, "rope.scaling.type").and_then(Value::as_str);
    if let Some(kind) = scaling.filter(|kind| *kind != "none") {
        return Err(format!("rope scaling `{kind}` is not supported"));
    }
    if header.tensor("rope_freqs.weight").is_some() {
        return Err("rope scaling by `rope_freqs.weight` (Llama 3.1) is not supported".into());
    }
    let size = || {
        Some(integer(header, "embedding_length")? / integer(header, "attention.head_count")?.max(1))
    };
    let size = integer(header, "attention.key_length").or_else(size);
    match (integer(header, "rope.dimension_count"), size) {
        (Some(rotated), Some(size)) if rotated != size => Err(format!(
            "{rotated} of {size} elements of a head are rotated, expected all"
        )),
        _ => Ok(()),
    }
}

/// Heads of a tensor whose rows llama.cpp keeps in pairs: queries and keys of `llama`.
pub(super) fn paired_heads(header: &Header, tensor: &str) -> Option<usize> {
    let queries = || integer(header, "attention.head_count");
    let heads = match (header.architecture(), tensor.rsplit_once("attn_")?.1) {
        ("llama", "q.weight") => queries(),
        ("llama", "k.weight") => integer(header, "attention.head_count_kv").or_else(queries),
        _ => None,
    };
    heads.map(|n| n as usize)
}

fn value<'h>(header: &'h Header, key: &str) -> Option<&'h Value> {
    let key = format!("{}.{key}", header.architecture());
    header.metadata.get(&key)
}

fn integer(header: &Header, key: &str) -> Option<u64> {
    value(header, key)?.as_u64()
}
