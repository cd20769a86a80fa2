//! Float32 against a plain forward pass in float64, and one batch against another.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::{Path, PathBuf};

use cpipe_data::tokens::Mapping;
use cpipe_lm::{ChunkTokenizer, Model, Sequence};
use half::f16;
use safetensors::SafeTensors;
use serde_json::Value;

fn nano(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano");
    root.join(path)
}

/// Windows of 512 positions behind token 0 over the first chunk of an evaluation set.
fn windows(modality: &str) -> Vec<Sequence> {
    let tokenizer = nano("tokenizer/tokenizer.json");
    let tokenizer = ChunkTokenizer::read(&tokenizer, Mapping::Mask7).unwrap();
    let raw = std::fs::read(nano(&format!("eval/{modality}.bin"))).unwrap();
    let ids = tokenizer.encode(0, &raw[..2048]).unwrap().ids;
    let window = |part: &[u32]| Sequence::whole(&[&[0], part].concat());
    ids.chunks(511).map(window).collect()
}

/// A GPT-NeoX with parallel residual, a quarter of each head rotated: the nano suite, by definition.
struct Reference {
    bytes: Vec<u8>,
    config: Value,
}

type Rows = Vec<Vec<f64>>;

impl Reference {
    fn open(folder: &Path) -> Self {
        let config = std::fs::read(folder.join("config.json")).unwrap();
        Self {
            bytes: std::fs::read(folder.join("model.safetensors")).unwrap(),
            config: serde_json::from_slice(&config).unwrap(),
        }
    }

    fn size(&self, name: &str) -> usize {
        self.config[name].as_u64().unwrap() as usize
    }

    fn tensor(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let halves = tensor.data().as_chunks::<2>().0.iter();
        halves.map(|b| f16::from_le_bytes(*b).to_f64()).collect()
    }

    fn linear(&self, x: &Rows, name: &str) -> Rows {
        let weight = self.tensor(&format!("{name}.weight"));
        let bias = self.tensor(&format!("{name}.bias"));
        let apply = |row: &Vec<f64>| {
            let outputs = weight.chunks_exact(row.len()).zip(&bias);
            outputs.map(|(w, b)| dot(w, row) + b).collect()
        };
        x.iter().map(apply).collect()
    }

    fn norm(&self, x: &Rows, name: &str) -> Rows {
        let weight = self.tensor(&format!("{name}.weight"));
        let bias = self.tensor(&format!("{name}.bias"));
        let apply = |row: &Vec<f64>| {
            let n = row.len() as f64;
            let mean = row.iter().sum::<f64>() / n;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            let parts = row.iter().zip(&weight).zip(&bias);
            parts
                .map(|((v, w), b)| (v - mean) * scale * w + b)
                .collect()
        };
        x.iter().map(apply).collect()
    }

    fn attention(&self, x: &Rows, name: &str) -> Rows {
        let (heads, width) = (self.size("num_attention_heads"), x[0].len());
        let size = width / heads;
        let qkv = self.linear(x, &format!("{name}.query_key_value"));
        let part = |t: usize, head: usize, which: usize| {
            let at = (head * 3 + which) * size;
            qkv[t][at..at + size].to_vec()
        };
        let mut out = vec![vec![0.0; width]; x.len()];
        for head in 0..heads {
            let keys: Rows = (0..x.len()).map(|t| rotate(part(t, head, 1), t)).collect();
            let values: Rows = (0..x.len()).map(|t| part(t, head, 2)).collect();
            for (t, out) in out.iter_mut().enumerate() {
                let query = rotate(part(t, head, 0), t);
                let scores = keys[..=t]
                    .iter()
                    .map(|k| dot(&query, k) / (size as f64).sqrt());
                let weights: Vec<f64> = scores.map(f64::exp).collect();
                let total: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(&values) {
                    for (o, v) in out[head * size..].iter_mut().zip(value) {
                        *o += weight / total * v;
                    }
                }
            }
        }
        self.linear(&out, &format!("{name}.dense"))
    }

    /// ln p of every id but the first.
    fn log_probs(&self, ids: &[u32]) -> Vec<f64> {
        let width = self.size("hidden_size");
        let (embed, output) = (
            self.tensor("gpt_neox.embed_in.weight"),
            self.tensor("embed_out.weight"),
        );
        let row = |id: &u32| embed[*id as usize * width..][..width].to_vec();
        let mut x: Rows = ids[..ids.len() - 1].iter().map(row).collect();
        for layer in 0..self.size("num_hidden_layers") {
            let at = format!("gpt_neox.layers.{layer}");
            let attended = self.attention(
                &self.norm(&x, &format!("{at}.input_layernorm")),
                &format!("{at}.attention"),
            );
            let normed = self.norm(&x, &format!("{at}.post_attention_layernorm"));
            let mut up = self.linear(&normed, &format!("{at}.mlp.dense_h_to_4h"));
            up.iter_mut()
                .flatten()
                .for_each(|v| *v = 0.5 * *v * (1.0 + libm::erf(*v / 2f64.sqrt())));
            let down = self.linear(&up, &format!("{at}.mlp.dense_4h_to_h"));
            for ((x, a), b) in x.iter_mut().zip(&attended).zip(&down) {
                x.iter_mut()
                    .zip(a)
                    .zip(b)
                    .for_each(|((x, a), b)| *x += a + b);
            }
        }
        let x = self.norm(&x, "gpt_neox.final_layer_norm");
        let score = |(row, target): (&Vec<f64>, &u32)| {
            let logits: Vec<f64> = output.chunks_exact(width).map(|w| dot(w, row)).collect();
            let total: f64 = logits.iter().map(|l| l.exp()).sum();
            logits[*target as usize] - total.ln()
        };
        x.iter().zip(&ids[1..]).map(score).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Rotary positions of the first quarter of a head, base 10,000, with the angles that Transformers has in f32.
fn rotate(mut x: Vec<f64>, position: usize) -> Vec<f64> {
    let dims = x.len() / 4;
    for i in 0..dims / 2 {
        let inverse = (1.0 / 10_000f64.powf((2 * i) as f64 / dims as f64)) as f32;
        let angle = f64::from(position as f32 * inverse);
        let (a, b) = (x[i], x[i + dims / 2]);
        x[i] = a * angle.cos() - b * angle.sin();
        x[i + dims / 2] = b * angle.cos() + a * angle.sin();
    }
    x
}

#[test]
fn float32_is_within_a_ten_thousandth_of_a_bit_of_float64() {
    for (name, modality) in [
        ("nano-25k", "image"),
        ("nano-150k", "speech"),
        ("nano-793k", "text"),
    ] {
        let folder = nano(&format!("models/{name}/step2048"));
        let (model, reference) = (Model::load_dir(&folder).unwrap(), Reference::open(&folder));
        let windows = windows(modality);
        let ours = model.log_probs(&windows).unwrap();
        let (mut worst, mut total, mut exact_total) = (0.0f64, 0.0, 0.0);
        for (window, ours) in windows.iter().zip(&ours) {
            for (ours, exact) in ours.iter().zip(reference.log_probs(&window.ids)) {
                let bits = [f64::from(*ours), exact].map(|p| -p * std::f64::consts::LOG2_E);
                worst = worst.max((bits[0] - bits[1]).abs());
                total += bits[0];
                exact_total += bits[1];
            }
        }
        let relative = (total / exact_total - 1.0).abs();
        println!(
            "{name} {modality}: at most {worst:.1e} bits a token, {relative:.1e} of the total"
        );
        assert!(
            worst < 1e-4 && relative < 1e-5,
            "{name}: {worst} {relative}"
        );
    }
}

#[test]
fn a_window_scores_the_same_bits_in_every_batch() {
    let model = Model::load_dir(&nano("models/nano-150k/step512")).unwrap();
    let mut windows: Vec<Sequence> = ["text", "image"].iter().flat_map(|m| windows(m)).collect();
    windows.push(Sequence::whole(&windows[0].ids[..77]));
    windows.push(Sequence::default());
    windows.push(Sequence::whole(&[5]));
    let single = |w: &Sequence| model.log_probs(std::slice::from_ref(w)).unwrap().remove(0);
    let alone: Vec<Vec<f32>> = windows.iter().map(single).collect();
    assert_eq!(model.log_probs(&windows).unwrap(), alone);
    let (backwards, expected): (Vec<_>, Vec<_>) =
        windows.iter().cloned().zip(alone.clone()).rev().unzip();
    assert_eq!(model.log_probs(&backwards).unwrap(), expected);
    for batch in windows.chunks(3).zip(alone.chunks(3)) {
        assert_eq!(model.log_probs(batch.0).unwrap(), batch.1);
    }
    // Scoring only the end changes nothing about it.
    let mut end = windows[0].clone();
    end.first = 300;
    assert_eq!(model.log_probs(&[end]).unwrap()[0], alone[0][299..]);
}
