//! What of a model's files is refused, honoured or passed over: the file, the key and what to do are named.

#![allow(clippy::unwrap_used, reason = "tests")]

mod copy;
mod published;

use std::collections::BTreeSet;

use cpipe_data::tokens::{Mapping, NoEndOfText, TokenSet};
use cpipe_engine::Stage;
use cpipe_lm::{DeviceClass, Score, ScoreParams};
use serde_json::{Value, json};

use self::copy::{Copy, assert_has};

#[test]
fn a_key_that_is_not_known_is_refused_by_name_for_every_architecture() {
    for model in [
        "gpt2",
        "llama",
        "mamba",
        "mistral",
        "mixtral",
        "neox-tied",
        "qwen2",
    ] {
        let copy = Copy::of(model).with(json!({"new_scale": 2.5, "other": null}));
        assert_has(
            &copy.refusal(),
            &[
                "`config.json` of `weights`",
                "`new_scale` is 2.5",
                "`ignore`",
            ],
        );
        assert!(copy.score(&["new_scale", "not there"]).is_ok(), "{model}");
    }
}

#[test]
fn what_scales_attention_in_gpt2_is_refused() {
    for (key, value) in [
        ("scale_attn_weights", false),
        ("scale_attn_by_inverse_layer_idx", true),
        ("add_cross_attention", true),
    ] {
        let error = Copy::of("gpt2").with(json!({ key: value })).refusal();
        assert_has(
            &error,
            &[&format!("`{key}` is {value}, expected {}", !value)],
        );
    }
    assert_has(
        &Copy::of("gpt2")
            .with(json!({"model_type": "gptj"}))
            .refusal(),
        &["`model_type` is \"gptj\", expected gpt2"],
    );
}

#[test]
fn ignore_is_part_of_the_key() {
    let params = |ignore: &[&str]| {
        let ignore: BTreeSet<String> = ignore.iter().map(|key| (*key).to_owned()).collect();
        Score::new(
            ScoreParams {
                ignore,
                ..ScoreParams::default()
            },
            DeviceClass::Cpu,
        )
        .unwrap()
        .params()
    };
    assert_ne!(params(&[]), params(&["a"]));
    assert_eq!(params(&["a", "b"]), params(&["b", "a"]));
}

#[test]
fn every_spelling_of_a_rotation_gives_the_same() {
    let plain = Copy::of("llama").log_probs().unwrap();
    let theta = Copy::of("llama");
    let config: Value =
        serde_json::from_slice(&std::fs::read(theta.path("config.json")).unwrap()).unwrap();
    let base = config["rope_parameters"]["rope_theta"].clone();
    let rope = |change: Value| {
        let mut all = json!({"rope_parameters": null, "rope_theta": base});
        all.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        Copy::of("llama").with(all).log_probs()
    };
    assert_eq!(rope(json!({})).unwrap(), plain);
    assert_eq!(
        rope(json!({"rope_scaling": {"rope_type": "default"}})).unwrap(),
        plain
    );
    let linear = rope(json!({"rope_scaling": {"type": "linear", "factor": 4.0}})).unwrap();
    assert_ne!(linear, plain);
    assert_eq!(
        rope(json!({"rope_parameters": {"type": "linear", "factor": 4, "rope_theta": base}}))
            .unwrap(),
        linear
    );
    let scaled = Copy::of("llama")
        .with(json!({"rope_scaling": {"type": "yarn", "factor": 4.0}, "rope_parameters": null}));
    assert_has(
        &scaled.refusal(),
        &["`rope_scaling.type` is \"yarn\", expected default or linear"],
    );
    assert!(scaled.score(&["rope_scaling"]).is_ok());
    let inside = ["rope_scaling.type", "rope_scaling.factor"];
    assert!(scaled.score(&inside).is_ok());
}

#[test]
fn a_window_matters_only_where_it_is_reached() {
    // 40 tokens behind end-of-text are 40 inputs.
    let plain = Copy::of("mistral").score(&[]).unwrap();
    let window = |n: usize| Copy::of("mistral").with(json!({"sliding_window": n}));
    assert_eq!(window(40).score(&[]).unwrap(), plain);
    assert_has(
        &window(39).score(&[]).unwrap_err(),
        &["`sliding_window`", "39", "40", "ignore: [sliding_window]"],
    );
    let error = window(6).refusal();
    assert_has(
        &error,
        &["sees the last 6 positions", "windows of 7 positions"],
    );
}

#[test]
fn an_output_matrix_is_taken_where_the_config_says_so() {
    let other = Copy::of("llama").with(json!({"tie_word_embeddings": true}));
    let error = other.score(&[]).unwrap_err();
    assert_has(
        &error,
        &[
            "`tie_word_embeddings`",
            "another one as `lm_head.weight`",
            "ignore: [lm_head.weight]",
        ],
    );
    let (tied, own) = (
        other.score(&["lm_head.weight"]).unwrap(),
        Copy::of("llama").score(&[]).unwrap(),
    );
    assert_ne!(tied, own);
    assert_eq!(other.score(&["tie_word_embeddings"]).unwrap(), own);
    for missing in [
        json!({"tie_word_embeddings": false}),
        json!({"tie_word_embeddings": null}),
    ] {
        let error = Copy::of("llama-tied").with(missing).refusal();
        assert_has(
            &error,
            &[
                "output matrix `lm_head.weight`",
                "is missing",
                "`tie_word_embeddings`",
            ],
        );
    }
    let error = Copy::of("gpt2")
        .with(json!({"tie_word_embeddings": false}))
        .refusal();
    assert_has(&error, &["output matrix `lm_head.weight`", "is missing"]);
    let plain = Copy::of("gpt2").log_probs().unwrap();
    assert_eq!(
        Copy::of("gpt2")
            .with(json!({"tie_word_embeddings": null}))
            .log_probs()
            .unwrap(),
        plain
    );
}

#[test]
fn quantised_weights_are_refused_by_the_key_that_says_so() {
    let copy =
        Copy::of("llama").with(json!({"quantization_config": {"quant_method": "gptq", "bits": 4}}));
    assert_has(
        &copy.refusal(),
        &["`quantization_config`", "gptq", "quantised weights"],
    );
}

#[test]
fn pointers_of_git_lfs_are_named() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234567\n";
    for (model, file) in [
        ("llama", "config.json"),
        ("llama", "model.safetensors"),
        ("gguf-llama", "model.gguf"),
        ("torch-f16-legacy-buffers", "pytorch_model.bin"),
        (
            "torch-bf16-padded-vocabulary",
            "pytorch_model.bin.index.json",
        ),
        (
            "torch-bf16-padded-vocabulary",
            "pytorch_model-00001-of-00002.bin",
        ),
    ] {
        let error = Copy::of(model).write(file, pointer).refusal();
        assert_has(
            &error,
            &[
                file,
                "pointer of Git LFS",
                "1234567 bytes",
                "`git lfs pull`",
            ],
        );
    }
}

#[test]
fn json_is_read_as_python_writes_it_and_keys_stand_once() {
    let text = std::fs::read_to_string(Copy::of("llama").path("config.json")).unwrap();
    let plain = Copy::of("llama").log_probs().unwrap();
    let edit = |from: &str, to: &str| {
        assert!(text.contains(from));
        Copy::of("llama").write("config.json", text.replacen(from, to, 1).as_bytes())
    };
    let limits = "{\n \"time_step_limit\": [0.0, Infinity],";
    assert_eq!(edit("{", limits).log_probs().unwrap(), plain);
    let error = edit("\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": NaN").refusal();
    assert_has(&error, &["`rms_norm_eps` is \"NaN\", expected a number"]);
    let error = edit("{", "{\"vocab_size\": 67,").refusal();
    assert_has(
        &error,
        &["`config.json`", "`vocab_size` stands twice", "line"],
    );
    assert_has(
        &Copy::of("llama").write("config.json", b"[1]").refusal(),
        &["not a dictionary"],
    );
}

#[test]
fn a_tensor_of_two_shards_is_refused() {
    let copy = Copy::of("torch-bf16-padded-vocabulary");
    let first = std::fs::read(copy.path("pytorch_model-00001-of-00002.bin")).unwrap();
    let error = copy
        .write("pytorch_model-00002-of-00002.bin", &first)
        .refusal();
    assert_has(
        &error,
        &[
            "pytorch_model-00002-of-00002.bin",
            "is in `pytorch_model-00001-of-00002.bin`, too",
        ],
    );
    for index in ["{\"weight_map\": {}}", "{\"weight_map\": {\"a\": 3}}", "{}"] {
        let copy = Copy::of("torch-bf16-padded-vocabulary");
        let error = copy
            .write("pytorch_model.bin.index.json", index.as_bytes())
            .refusal();
        assert_has(&error, &["pytorch_model.bin.index.json", "`weight_map`"]);
    }
}

#[test]
fn an_end_of_text_that_is_not_there_is_answered_with_those_that_are() {
    let tokens = |special: &[&str]| {
        TokenSet::new(Mapping::Mask7, 67, None).without_end_of_text(NoEndOfText {
            named: "nothing".into(),
            special: special.iter().map(|text| (*text).to_owned()).collect(),
        })
    };
    let error = Copy::of("llama")
        .score_tokens(tokens(&["<s>", "</s>"]), &[])
        .unwrap_err();
    assert_has(
        &error,
        &[
            "protocol `full`",
            "no `nothing`",
            "`end_of_text` of the stage `tokenize`",
            "`<s>`, `</s>`",
        ],
    );
    let error = Copy::of("llama")
        .score_tokens(tokens(&[]), &[])
        .unwrap_err();
    assert_has(&error, &["`end_of_text`", "nor any special token"]);
}
