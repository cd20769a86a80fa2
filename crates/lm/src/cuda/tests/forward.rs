//! The whole forward pass against the CPU's.

use std::path::PathBuf;

use cpipe_data::tokens::Mapping;

use super::bench::Bench;
use crate::batch::Rows;
use crate::cuda::forward::OnCard;
use crate::{ChunkTokenizer, Dtype, Model, Sequence};

/// This crate's folder: as cargo says when it runs tests, so that they can be carried to a machine with a card.
fn home() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

pub(super) fn nano(name: &str) -> PathBuf {
    let root = home().join("../../assets/nano/models");
    root.join(name).join("step2048")
}

/// Token ids of the first chunks of a modality.
fn chunks(modality: &str, count: usize) -> Vec<Vec<u32>> {
    let root = home().join("../../assets/nano");
    let tokenizer = root.join("tokenizer/tokenizer.json");
    let tokenizer = ChunkTokenizer::read(&tokenizer, Mapping::Mask7).unwrap();
    let raw = std::fs::read(root.join(format!("eval/{modality}.bin"))).unwrap();
    let chunks = raw.chunks_exact(2048).take(count).enumerate();
    chunks
        .map(|(i, chunk)| tokenizer.encode(i, chunk).unwrap().ids)
        .collect()
}

/// Sequences of text that the nano models can read.
pub(super) fn batch(lengths: &[usize]) -> Vec<Sequence> {
    let ids = chunks("text", 1).remove(0);
    let sequence = |n: &usize| Sequence {
        ids: ids[*n..2 * n].to_vec(),
        first: 1 + n / 10,
    };
    lengths.iter().map(sequence).collect()
}

/// The card's log-probabilities of a batch.
fn on_card(bench: &Bench, model: &Model, dtype: Dtype, batch: &[Sequence]) -> Vec<f32> {
    let (layers, output) = model.parts_for_card().unwrap();
    let card = OnCard::new(&bench.device, layers, output, dtype).unwrap();
    let found = card.submit(&Rows::new(batch.iter())).unwrap()().unwrap();
    bench.check();
    found
}

/// [`differences`] of a batch from the CPU.
fn apart(bench: &Bench, model: &Model, dtype: Dtype, batch: &[Sequence]) -> [f64; 3] {
    let truth = model.log_probs(batch).unwrap().concat();
    differences(&on_card(bench, model, dtype, batch), &truth)
}

/// Mean and largest difference in bits a token, and the relative difference of the sums.
fn differences(found: &[f32], truth: &[f32]) -> [f64; 3] {
    assert_eq!(found.len(), truth.len());
    let pairs = || {
        found
            .iter()
            .zip(truth)
            .map(|(a, b)| (f64::from(*a), f64::from(*b)))
    };
    let bits = std::f64::consts::LOG2_E;
    let worst = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let mean = pairs().map(|(a, b)| (a - b).abs()).sum::<f64>() / truth.len() as f64;
    let sums: (f64, f64) = pairs().fold((0.0, 0.0), |s, (a, b)| (s.0 + a, s.1 + b));
    [mean * bits, worst * bits, (sums.0 / sums.1 - 1.0).abs()]
}

#[test]
fn f32_is_within_1e_4_bits_a_token_of_the_cpu() {
    for name in ["nano-25k", "nano-57k"] {
        let model = Model::load_dir(&nano(name)).unwrap();
        for bench in Bench::all(Dtype::F32, 48 << 20) {
            let [_, worst, _] = apart(&bench, &model, Dtype::F32, &batch(&[40, 2, 70]));
            assert!(worst < 1e-4, "{name} {}: {worst}", bench.name);
        }
    }
}

#[test]
fn halves_are_within_5e_4_of_the_sum() {
    for (dtype, most) in [(Dtype::Bf16, 5e-4), (Dtype::F16, 1e-4)] {
        let model = Model::load_dir(&nano("nano-25k")).unwrap();
        for bench in Bench::all(dtype, 48 << 20) {
            let [mean, _, sum] = apart(&bench, &model, dtype, &batch(&[40, 2, 70]));
            assert!(
                mean < 0.02 && sum < most,
                "{dtype:?} {}: {mean} {sum}",
                bench.name
            );
        }
    }
}

/// Cells of the nano study in 16 bits: the first chunks of a modality, ratio against the CPU's.
#[test]
#[ignore = "minutes; prints what docs/gpu.md says"]
#[allow(clippy::print_stdout, reason = "a measurement")]
fn cells_in_halves() {
    for (name, modality) in [
        ("nano-25k", "text"),
        ("nano-25k", "speech"),
        ("nano-150k", "text"),
        ("nano-793k", "image"),
    ] {
        let model = Model::load_dir(&nano(name)).unwrap();
        let batch: Vec<Sequence> = chunks(modality, 6)
            .iter()
            .flat_map(|ids| ids.chunks(512).map(Sequence::whole).collect::<Vec<_>>())
            .collect();
        for dtype in [Dtype::Bf16, Dtype::F16] {
            for bench in Bench::fast(dtype, 256 << 20) {
                let [mean, worst, sum] = apart(&bench, &model, dtype, &batch);
                let who = bench.name;
                println!(
                    "{who} {name} {modality} {dtype:?}: {mean:.1e} and {worst:.1e} bits a token, {sum:.1e} of the ratio"
                );
                assert!(sum < 5e-4);
            }
        }
    }
}

#[test]
fn every_variant_of_the_architecture_agrees_with_the_cpu() {
    let root = home().join("tests/fixtures");
    let mut seen = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        if !dir.is_dir() || !name.starts_with("neox") {
            continue;
        }
        let model = Model::load_dir(&dir).unwrap();
        let (layers, output) = model.parts_for_card().unwrap();
        if layers.config.intermediate_size % 8 != 0 {
            let device = Bench::twins(Dtype::F32, 1 << 20).device;
            let error = OnCard::new(&device, layers, output, Dtype::F32)
                .err()
                .unwrap();
            assert!(error.to_string().contains("multiples of 8"), "{error}");
            continue;
        }
        let most = model.facts().context.min(12) as usize;
        let ids = |n: usize| {
            (0..n)
                .map(|i| (i as u32 * 7 + 3) % model.facts().vocabulary as u32)
                .collect()
        };
        let batch = [most, 2].map(|n| Sequence {
            ids: ids(n),
            first: 1,
        });
        for bench in Bench::all(Dtype::F32, 48 << 20) {
            let [_, worst, _] = apart(&bench, &model, Dtype::F32, &batch);
            assert!(worst < 1e-4, "{name} {}: {worst}", bench.name);
        }
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}

#[test]
fn the_batch_changes_nothing_beyond_rounding() {
    let model = Model::load_dir(&nano("nano-150k")).unwrap();
    for (dtype, most) in [(Dtype::F32, 1e-4), (Dtype::Bf16, 0.02)] {
        for bench in Bench::fast(dtype, 64 << 20) {
            let batch = batch(&[30, 90, 12]);
            let together = on_card(&bench, &model, dtype, &batch);
            let each = |s: &Sequence| on_card(&bench, &model, dtype, std::slice::from_ref(s));
            let alone: Vec<f32> = batch.iter().flat_map(each).collect();
            // A card may choose another algorithm for a product of another size.
            let [mean, _, sum] = differences(&together, &alone);
            assert!(
                mean < most && sum < 5e-4,
                "{dtype:?} {}: {mean} {sum}",
                bench.name
            );
            if bench.is_exact() {
                assert_eq!(together, alone, "{dtype:?}");
            }
        }
    }
}

#[test]
fn room_is_halved_until_it_fits_and_what_cannot_fit_says_so() {
    let model = Model::load_dir(&nano("nano-25k")).unwrap();
    let (layers, output) = model.parts_for_card().unwrap();
    let new = |bytes: usize| {
        let device = Bench::twins(Dtype::Bf16, bytes).device;
        OnCard::new(&device, layers, output, Dtype::Bf16)
            .map(|card| card.tokens())
            .map_err(|e| e.to_string())
    };
    assert_eq!(new(64 << 20), Ok(32_768));
    assert_eq!(new(30 << 20), Ok(4096));
    let small = new(24 << 20).unwrap_err();
    assert!(small.contains("one window of 512 tokens needs"), "{small}");
    let tiny = new(1 << 16).unwrap_err();
    assert!(
        tiny.contains("weights do not fit") && tiny.contains("--device cpu"),
        "{tiny}"
    );
}

/// What overflows f16 makes its token NaN and hides nothing.
#[test]
fn what_overflows_is_nan() {
    let dir = tempfile::tempdir().unwrap();
    let from = nano("nano-25k");
    std::fs::copy(from.join("config.json"), dir.path().join("config.json")).unwrap();
    let mut bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let text = String::from_utf8(bytes[8..8 + header].to_vec()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tensor = &value["gpt_neox.layers.1.mlp.dense_4h_to_h.weight"];
    assert_eq!(tensor["dtype"], "F16");
    let at = |i: usize| 8 + header + tensor["data_offsets"][i].as_u64().unwrap() as usize;
    // Infinity, as a weight that does not fit f16 is stored.
    for half in bytes[at(0)..at(1)].as_chunks_mut::<2>().0 {
        *half = 0x7c00_u16.to_le_bytes();
    }
    std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
    let model = Model::load_dir(dir.path()).unwrap();
    let bench = Bench::twins(Dtype::F16, 48 << 20);
    let found = on_card(&bench, &model, Dtype::F16, &batch(&[5]));
    assert!(found.iter().all(|x| x.is_nan()), "{found:?}");
}
