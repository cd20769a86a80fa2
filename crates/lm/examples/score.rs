//! Scores a file of 2,048-byte chunks under `full` and prints what `bench/score.py` compares:
//! `score MODEL_FOLDER TOKENIZER_JSON CHUNKS_BIN CHUNKS THREADS`.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cpipe_data::tokens::{Mapping, TokenSet};
use cpipe_engine::StageContext;
use cpipe_lm::{ChunkTokenizer, Model, Plan, Preset, score_windows};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, tokenizer, chunks, count, threads] = &args[..] else {
        return Err("expected MODEL_FOLDER TOKENIZER_JSON CHUNKS_BIN CHUNKS THREADS".into());
    };
    let tokens = tokenize(Path::new(tokenizer), Path::new(chunks), count.parse()?)?;
    let context = StageContext::alone(threads.parse()?, Path::new("."));
    let started = Instant::now();
    let model = Model::load_dir(Path::new(model))?;
    let loaded = started.elapsed().as_secs_f64();
    let plan = Plan::new(&[Preset::Full.into()], &tokens, model.shape())?;
    let started = Instant::now();
    let rows = score_windows(&model, &tokens, &plan, &context)?;
    let seconds = started.elapsed().as_secs_f64();
    let scored: u64 = rows.iter().map(|row| row.tokens_scored).sum();
    let bits: Vec<f64> = rows.iter().map(|row| row.bits).collect();
    let peak = peak_memory()?;
    println!(
        r#"{{"tokens": {scored}, "load_seconds": {loaded}, "seconds": {seconds}, "peak_kb": {peak}, "bits": {bits:?}}}"#
    );
    Ok(())
}

fn tokenize(tokenizer: &Path, chunks: &Path, count: usize) -> Result<TokenSet, Box<dyn Error>> {
    let tokenizer = ChunkTokenizer::read(tokenizer, Mapping::Mask7)?;
    let mut set = TokenSet::new(
        Mapping::Mask7,
        tokenizer.vocabulary(),
        tokenizer.id("<|endoftext|>"),
    );
    for (index, chunk) in std::fs::read(chunks)?
        .chunks_exact(2048)
        .take(count)
        .enumerate()
    {
        let tokens = tokenizer.encode(index, chunk)?;
        set.push(chunk, &tokens.ids, &tokens.covered, tokens.plane_bytes);
    }
    Ok(set)
}

/// The most memory that the process has had, in KiB, as Linux counts it.
fn peak_memory() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number.ok_or("no VmHWM in /proc/self/status")?.parse()?)
}
