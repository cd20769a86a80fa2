//! Keys that published models have beside those that the forward pass reads, written from memory: they are
//! scored as without.

use serde_json::{Value, json};

use super::copy::{Copy, assert_has};

/// (fixture, keys of a published config)
fn published() -> Vec<(&'static str, Value)> {
    let old = json!({"do_sample": false, "num_beams": 1, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
        "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0, "bad_words_ids": [],
        "output_attentions": false, "output_hidden_states": false, "return_dict": true, "torchscript": false,
        "use_bfloat16": false, "pruned_heads": {}, "tie_encoder_decoder": false, "cross_attention_hidden_size": 8,
        "finetuning_task": "lm", "prefix": "a", "problem_type": "b", "sep_token_id": 1, "decoder_start_token_id": 1,
        "forced_bos_token_id": 1, "is_decoder": true, "chunk_size_feed_forward": 0, "xla_device": false,
        "output_past": true, "_num_labels": 1, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}});
    vec![
        ("gpt2", old),
        // gpt2-large, distilgpt2, DialoGPT
        (
            "gpt2",
            json!({"n_special": 0, "predict_special_tokens": true, "output_past": true, "summary_type": "cls_index",
            "summary_first_dropout": 0.1, "summary_use_proj": true, "summary_proj_to_labels": true,
            "summary_activation": "tanh", "task_specific_params": {"conversational": {"max_length": 1000}},
            "gradient_checkpointing": false, "reorder_and_upcast_attn": false}),
        ),
        // polyglot-ko, dolly-v2
        (
            "neox-tied",
            json!({"num_steps": "global_step320000", "attention_probs_dropout_prob": 0, "hidden_dropout_prob": 0,
            "classifier_dropout": 0.1, "custom_pipelines": {"text-generation": {"impl": "instruct_pipeline.P"}}}),
        ),
        // vicuna-16k
        (
            "llama",
            json!({"max_sequence_length": 16384, "_name_or_path": "vicuna", "transformers_version": "4.31.0",
            "unsloth_version": "2024.9", "unsloth_fixed": true, "eos_token_id": [1, 2], "is_llama_config": true,
            "rope_interleaved": false, "transformers.js_config": {"dtype": "q4"}, "pretraining_tp": 1}),
        ),
        (
            "llama",
            json!({"auto_map": {"AutoConfig": "configuration_flash.FlashConfig",
            "AutoModelForCausalLM": "modeling_flash_llama.LlamaForCausalLM"}}),
        ),
        (
            "mistral",
            json!({"tokenizer_class": "LlamaTokenizer", "num_ctx": 4096, "dropout": 0.1}),
        ),
        (
            "mixtral",
            json!({"output_router_logits": false, "router_aux_loss_coef": 0.02, "router_jitter_noise": 0.0}),
        ),
        ("qwen2", json!({"use_mrope": false, "use_cache": true})),
        (
            "mamba",
            json!({"ssm_cfg": {}, "rms_norm": true, "fused_add_norm": true, "pad_vocab_size_multiple": 8}),
        ),
    ]
}

#[test]
fn keys_of_published_models_that_do_not_matter_are_passed_over() {
    for (model, keys) in published() {
        let plain = Copy::of(model).log_probs().unwrap();
        assert_eq!(
            Copy::of(model).with(keys.clone()).log_probs(),
            Ok(plain),
            "{model} {keys}"
        );
    }
}

#[test]
fn what_would_matter_with_another_value_is_refused() {
    for (model, keys, expected) in [
        (
            "gpt2",
            json!({"pruned_heads": {"0": [1]}}),
            "`pruned_heads` is",
        ),
        (
            "qwen2",
            json!({"use_mrope": true}),
            "`use_mrope` is true, expected false",
        ),
        (
            "llama",
            json!({"auto_map": {"AutoModelForCausalLM": "modeling_my.MyLlamaForCausalLM"}}),
            "`auto_map.AutoModelForCausalLM` is \"modeling_my.MyLlamaForCausalLM\", expected LlamaForCausalLM",
        ),
    ] {
        assert_has(&Copy::of(model).with(keys).refusal(), &[expected]);
    }
}

#[test]
fn an_adapter_beside_the_weights_is_refused() {
    for model in ["llama", "torch-f16-legacy-buffers", "gguf-llama"] {
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let error = Copy::of(model).write(file, b"{}").refusal();
            assert_has(&error, &[file, "merge the adapter", "first"]);
        }
    }
}

#[test]
fn a_byte_order_mark_is_named() {
    let copy = Copy::of("llama");
    let text = std::fs::read_to_string(copy.path("config.json")).unwrap();
    let error = copy
        .write("config.json", format!("\u{feff}{text}").as_bytes())
        .refusal();
    assert_has(&error, &["`config.json` of `weights`", "byte order mark"]);
}

#[test]
fn a_file_that_cannot_be_read_has_its_name_in_the_source() {
    for (model, file) in [
        ("llama", "config.json"),
        ("llama", "model.safetensors"),
        ("gguf-llama", "model.gguf"),
    ] {
        let copy = Copy::of(model);
        std::fs::remove_file(copy.path(file)).unwrap();
        std::os::unix::fs::symlink("nowhere", copy.path(file)).unwrap();
        let error = copy.score(&[]).unwrap_err();
        assert_has(&error, &[&format!("cannot read `{file}` of `weights`: ")]);
        let dir = copy.path("").display().to_string();
        assert!(!error.contains(&dir), "{error}");
    }
}
