//! The most memory that scoring takes, in a process of its own (as Linux counts it).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use cpipe_data::tokens::{Mapping, TokenSet};
use cpipe_engine::StageContext;
use cpipe_lm::{Model, Plan, Preset, score_windows};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

const WIDTH: usize = 256;
const LAYERS: usize = 4;
const VOCABULARY: usize = 16_384;
const CONTEXT: usize = 512;
const THREADS: usize = 2;

/// What docs/scoring.md states beside the weights: 12 · width f32 for each of 2,048 positions a thread.
const BUDGET: u64 = (THREADS * 2048 * 12 * WIDTH * 4) as u64;
/// The program itself, the tokens and the allocator's slack.
const PROCESS: u64 = 12 << 20;

/// Shapes of a GPT-NeoX by name.
fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("gpt_neox.embed_in.weight".into(), vec![VOCABULARY, WIDTH]),
        ("embed_out.weight".into(), vec![VOCABULARY, WIDTH]),
        ("gpt_neox.final_layer_norm.weight".into(), vec![WIDTH]),
        ("gpt_neox.final_layer_norm.bias".into(), vec![WIDTH]),
    ];
    for layer in 0..LAYERS {
        let at = format!("gpt_neox.layers.{layer}");
        for (name, to, from) in [
            ("attention.query_key_value", 3 * WIDTH, WIDTH),
            ("attention.dense", WIDTH, WIDTH),
            ("mlp.dense_h_to_4h", 4 * WIDTH, WIDTH),
            ("mlp.dense_4h_to_h", WIDTH, 4 * WIDTH),
        ] {
            shapes.push((format!("{at}.{name}.weight"), vec![to, from]));
            shapes.push((format!("{at}.{name}.bias"), vec![to]));
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            shapes.push((format!("{at}.{name}.weight"), vec![WIDTH]));
            shapes.push((format!("{at}.{name}.bias"), vec![WIDTH]));
        }
    }
    shapes
}

/// Writes a model of pseudo-random f16 weights, and gives the bytes of these.
fn write_model(dir: &Path) -> u64 {
    let config = format!(
        r#"{{"architectures": ["GPTNeoXForCausalLM"], "hidden_size": {WIDTH}, "num_hidden_layers": {LAYERS},
        "num_attention_heads": 4, "intermediate_size": {}, "max_position_embeddings": {CONTEXT}, "vocab_size": {VOCABULARY},
        "hidden_act": "gelu", "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": true,
        "layer_norm_eps": 1e-5, "tie_word_embeddings": false}}"#,
        4 * WIDTH
    );
    std::fs::write(dir.join("config.json"), config).unwrap();
    let value = |i: usize| half::f16::from_f32((i * 7919 % 1000) as f32 / 20_000.0 - 0.025);
    let bytes = |shape: &[usize]| -> Vec<u8> {
        let count: usize = shape.iter().product();
        (0..count).flat_map(|i| value(i).to_le_bytes()).collect()
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes()
        .into_iter()
        .map(|(name, shape)| (name, shape.clone(), bytes(&shape)))
        .collect();
    let views: HashMap<&str, TensorView<'_>> = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F16, shape.clone(), bytes).unwrap();
            (name.as_str(), view)
        })
        .collect();
    let path = dir.join("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).unwrap();
    std::fs::metadata(path).unwrap().len()
}

/// The most memory of a process that scores so many chunks, in bytes.
fn peak(dir: &Path, chunks: usize) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("MODEL", dir)
        .env("CHUNKS", chunks.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse::<u64>().unwrap() << 10
}

#[test]
#[ignore = "what the other test measures"]
fn child() {
    let (Ok(dir), Ok(chunks)) = (std::env::var("MODEL"), std::env::var("CHUNKS")) else {
        return;
    };
    let mut tokens = TokenSet::new(Mapping::Mask7, VOCABULARY as u32, Some(0));
    for chunk in 0..chunks.parse().unwrap() {
        let ids: Vec<u32> = (0..CONTEXT)
            .map(|i| ((chunk * 31 + i * 17) % VOCABULARY) as u32)
            .collect();
        tokens.push(&[65; 4 * CONTEXT], &ids, &[4; CONTEXT], 0);
    }
    let model = Model::load_dir(Path::new(&dir)).unwrap();
    let plan = Plan::new(&[Preset::Full.into()], &tokens, model.shape()).unwrap();
    let context = StageContext::alone(THREADS, Path::new("."));
    let rows = score_windows(&model, &tokens, &plan, &context).unwrap();
    assert!(rows.iter().all(|row| row.bits.is_finite()));
    print!(
        "\n{}",
        std::fs::read_to_string("/proc/self/status").unwrap()
    );
}

#[test]
fn peak_memory_is_the_weights_and_the_token_budget_whatever_the_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let weights = write_model(dir.path());
    let (few, many) = (peak(dir.path(), 32), peak(dir.path(), 64));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "weights {:.1} MiB; 32 chunks {:.1}, 64 chunks {:.1} MiB",
        mib(weights),
        mib(few),
        mib(many)
    );
    assert!(
        many < few + few / 20,
        "{few} bytes for 32 chunks, {many} for 64"
    );
    let limit = weights * 12 / 10 + BUDGET + PROCESS;
    assert!(many < limit, "{many} bytes, allowed {limit}");
    assert!(
        few > weights,
        "the mapped weights are counted: {few} of {weights}"
    );
}
