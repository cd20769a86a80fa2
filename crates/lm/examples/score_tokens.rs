//! Scores a file of token chunks with a model and prints JSON: what `bench/gpu/run.py` times.
//! `score_tokens MODEL_FOLDER TOKENS_BIN f32|bf16|f16 auto|cpu|cuda:N CHUNKS_TO_PRINT`.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cpipe_data::tokens::TokenSet;
use cpipe_engine::StageContext;
use cpipe_lm::{Dtype, Model, Plan, Preset, Sequence, check_device, score_windows, use_device};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, tokens, dtype, device, print] = &args[..] else {
        return Err("expected MODEL_FOLDER TOKENS_BIN DTYPE DEVICE CHUNKS_TO_PRINT".into());
    };
    let dtype: Dtype = serde_json::from_value(json!(dtype))?;
    use_device(device.parse()?);
    check_device()?;
    let tokens = TokenSet::read(Path::new(tokens))?;
    let result = score(Path::new(model), &tokens, dtype, print.parse()?)?;
    println!("{result}");
    Ok(())
}

fn score(
    dir: &Path,
    tokens: &TokenSet,
    dtype: Dtype,
    print: usize,
) -> Result<Value, Box<dyn Error>> {
    let started = Instant::now();
    let model = Model::load_dir_there(dir, dtype)?;
    let load = started.elapsed().as_secs_f64();
    let plan = Plan::new(&[Preset::Paper.into()], tokens, model.shape())?;
    let threads = std::thread::available_parallelism()?.get();
    let context = StageContext::alone(threads, Path::new("."));
    // Once without a clock: algorithms are chosen and memory is touched.
    let mut seconds = Vec::new();
    let mut rows = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        rows = score_windows(&model, tokens, &plan, &context)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let log_probs: Result<Vec<_>, _> = tokens
        .iter()
        .take(print)
        .map(|chunk| {
            let most = chunk.ids.len().min(1024);
            model.log_probs(&[Sequence::whole(&chunk.ids[..most])])
        })
        .collect();
    let card = model.card().map(|card| {
        json!({ "name": card.name, "driver": card.driver, "capability": card.capability,
            "bytes": card.bytes, "seconds": card.seconds })
    });
    Ok(json!({
        "tokens": rows.iter().map(|row| row.tokens_scored).sum::<u64>(),
        "nan": rows.iter().map(|row| row.nan).sum::<u64>(),
        "load_seconds": load,
        "first_seconds": seconds[0],
        "seconds": seconds[1..].iter().copied().fold(f64::INFINITY, f64::min),
        "runs": seconds.len(),
        "ratio": rows.iter().map(|row| row.cr).sum::<f64>() / rows.len() as f64,
        "card": card,
        "kernels": kernels(&model, tokens)?,
        "log_probs": log_probs?.concat().concat(),
    }))
}

/// Tokens of the batch whose kernels are timed.
const TIMED: usize = 16_384;

/// Seconds of each kernel for one batch, and its windows.
fn kernels(model: &Model, tokens: &TokenSet) -> Result<Value, Box<dyn Error>> {
    let mut batch: Vec<Sequence> = Vec::new();
    for chunk in tokens.iter() {
        let most = chunk.ids.len().min(1024);
        if batch.iter().map(|s| s.ids.len()).sum::<usize>() + most > TIMED {
            break;
        }
        batch.push(Sequence::whole(&chunk.ids[..most]));
    }
    model.time_kernels(&batch)?;
    Ok(json!({
        "seconds": model.time_kernels(&batch)?,
        "windows": batch.iter().map(|s| s.ids.len() - 1).collect::<Vec<_>>(),
    }))
}
