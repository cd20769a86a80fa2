use std::collections::BTreeSet;

use serde_json::{Map, json};

use super::*;
use crate::keys::COMMON;

fn read(architecture: &str, change: Value) -> Result<Config, String> {
    let mut values = json!({"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 10,
        "intermediate_size": 8, "max_position_embeddings": 64, "num_key_value_heads": 2});
    for (key, value) in change.as_object().unwrap() {
        values[key] = value.clone();
    }
    let map: Map<String, Value> = values.as_object().unwrap().clone();
    let mut keys = Keys::new(map, &BTreeSet::new());
    let family = Family::of(architecture);
    let config = Config::read(&mut keys, family)?;
    keys.finish(&[family.known(), COMMON]).map(|()| config)
}

#[test]
fn a_window_is_where_the_class_of_transformers_has_one() {
    let window = |architecture: &str, change| read(architecture, change).unwrap().window;
    let slides = ["full_attention", "sliding_attention"];
    let (llama, mistral, qwen2) = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM");
    assert_eq!(window(llama, json!({})), None);
    assert_eq!(window(llama, json!({"sliding_window": 8})), Some(8));
    assert_eq!(window(mistral, json!({})), Some(4096));
    assert_eq!(window(mistral, json!({"sliding_window": null})), None);
    assert_eq!(
        window(
            mistral,
            json!({"sliding_window": 8, "use_sliding_window": false})
        ),
        Some(8)
    );
    assert_eq!(window("MixtralForCausalLM", json!({})), None);
    assert_eq!(window(qwen2, json!({"sliding_window": 8})), None);
    assert_eq!(
        window(
            qwen2,
            json!({"sliding_window": 8, "use_sliding_window": true})
        ),
        None
    );
    for (change, expected) in [
        (
            json!({"use_sliding_window": true, "max_window_layers": 2}),
            None,
        ),
        (
            json!({"use_sliding_window": true, "max_window_layers": 1}),
            Some(8),
        ),
        (
            json!({"use_sliding_window": true, "layer_types": slides}),
            Some(8),
        ),
        (
            json!({"use_sliding_window": true, "max_window_layers": 0, "layer_types": ["full_attention"]}),
            None,
        ),
    ] {
        let mut change = change;
        change["sliding_window"] = 8.into();
        assert_eq!(window(qwen2, change.clone()), expected, "{change}");
    }
}

#[test]
fn what_a_config_does_not_say_is_as_in_the_class_of_transformers() {
    let mixtral = read("MixtralForCausalLM", json!({})).unwrap();
    assert_eq!((mixtral.rms_norm_eps, mixtral.rope.base), (1e-5, 1e6));
    assert_eq!(mixtral.experts, Some((8, 2)));
    let llama = read("LlamaForCausalLM", json!({"num_key_value_heads": null})).unwrap();
    assert_eq!(
        (llama.shared_heads, llama.head_size, llama.experts),
        (4, 4, None)
    );
    assert_eq!((llama.rms_norm_eps, llama.rope.base), (1e-6, 10_000.0));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (change, expected) in [
        (
            json!({"num_attention_heads": 0}),
            "`num_attention_heads` is 0",
        ),
        (
            json!({"hidden_size": 18}),
            "`hidden_size` is 18, expected a multiple of 4 heads",
        ),
        (json!({"hidden_size": 12}), "a head has 3 elements"),
        (
            json!({"num_key_value_heads": 3}),
            "`num_key_value_heads` is 3, expected a divisor of 4 heads",
        ),
        (json!({"head_dim": -8}), "`head_dim` is -8"),
        (
            json!({"max_position_embeddings": 1}),
            "`max_position_embeddings` is 1",
        ),
        (
            json!({"max_position_embeddings": 1e12}),
            "`max_position_embeddings` is 1000000000000",
        ),
        (
            json!({"rms_norm_eps": "1e-5"}),
            "`rms_norm_eps` is \"1e-5\", expected a number",
        ),
        (
            json!({"hidden_act": "gelu"}),
            "`hidden_act` is \"gelu\", expected silu",
        ),
        (
            json!({"tie_word_embeddings": 1}),
            "`tie_word_embeddings` is 1, expected true or false",
        ),
        (
            json!({"partial_rotary_factor": 0.5}),
            "`partial_rotary_factor` is 0.5, expected 1",
        ),
        (
            json!({"layer_types": ["linear_attention"]}),
            "`layer_types` is [\"linear_attention\"]",
        ),
        (json!({"num_local_experts": 8}), "`num_local_experts` is 8"),
        (
            json!({"query_pre_attn_scalar": 256}),
            "`query_pre_attn_scalar` is 256",
        ),
        (
            json!({"attn_logit_softcapping": 50.0}),
            "`attn_logit_softcapping` is 50.0",
        ),
        (
            json!({"logits_scaling": 8}),
            "`logits_scaling` is 8, expected 1",
        ),
        (
            json!({"pretraining_tp": 2}),
            "`pretraining_tp` is 2, expected 1",
        ),
        (
            json!({"rope_interleaved": true}),
            "`rope_interleaved` is true, expected false",
        ),
        (
            json!({"quantization_config": {"quant_method": "awq"}}),
            "`quantization_config` is {\"quant_method\":\"awq\"}",
        ),
    ] {
        let error = read("LlamaForCausalLM", change).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let error = read("MistralForCausalLM", json!({"attention_bias": true})).unwrap_err();
    assert!(
        error.contains("`attention_bias` is true, expected false"),
        "{error}"
    );
    let error = read("MixtralForCausalLM", json!({"num_experts_per_tok": 9})).unwrap_err();
    assert!(error.contains("expected at most the 8 experts"), "{error}");
}
