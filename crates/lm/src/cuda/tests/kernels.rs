//! Each kernel but attention against f64, wherever it can be run.

use super::bench::Bench;
use super::host::{bits, round};
use super::oracle::{near, numbers, tolerance};
use crate::Dtype;
use crate::cuda::device::{Arg, Kernel, Memory};

pub(super) const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::F16];
pub(super) const BYTES: usize = 16 << 20;

pub(super) fn int(n: usize) -> Arg {
    Arg::Int(n as i32)
}

pub(super) fn rounded(dtype: Dtype, values: &[f32]) -> Vec<f32> {
    values.iter().map(|x| round(dtype, *x)).collect()
}

#[test]
fn embedding_and_conversion_are_exact() {
    for dtype in DTYPES {
        for bench in Bench::all(dtype, BYTES) {
            let table = numbers(1, 5 * 24);
            let stored: Vec<u32> = table.iter().map(|x| x.to_bits()).collect();
            let (from, to) = (bench.words(&stored), bench.elements(&[9.0; 5 * 32]));
            let args = [to.arg(), from.arg(), int(0), int(5), int(24), int(32)];
            bench.launch(Kernel::Convert, [1, 1], 128, &args);
            let lines = bench.read_elements(&to);
            for (line, truth) in lines.chunks(32).zip(rounded(dtype, &table).chunks(24)) {
                assert_eq!(
                    (&line[..24], &line[24..]),
                    (truth, &[9.0; 8][..]),
                    "{}",
                    bench.name
                );
            }
            let (x, ids) = (bench.floats(&[0.0; 3 * 32]), bench.words(&[4, 0, 4]));
            bench.launch(
                Kernel::Embed,
                [3, 1],
                128,
                &[x.arg(), to.arg(), ids.arg(), int(32)],
            );
            let x = bench.read_floats(&x);
            assert_eq!(
                x,
                [&lines[4 * 32..], &lines[..32], &lines[4 * 32..]].concat(),
                "{}",
                bench.name
            );
        }
    }
}

#[test]
fn halves_of_files_are_converted() {
    for (kind, dtype) in [(1, Dtype::Bf16), (2, Dtype::F16)] {
        let values = rounded(dtype, &numbers(2, 16));
        let half = |x: f32| u32::from(bits(dtype, x));
        let word = |pair: &[f32]| half(pair[0]) | half(pair[1]) << 16;
        let words: Vec<u32> = values.chunks(2).map(word).collect();
        for bench in Bench::all(Dtype::F32, BYTES) {
            let (from, to) = (bench.words(&words), bench.elements(&[0.0; 16]));
            let args = [to.arg(), from.arg(), Arg::Int(kind), int(2), int(8), int(8)];
            bench.launch(Kernel::Convert, [1, 1], 128, &args);
            assert_eq!(bench.read_elements(&to), values, "{}", bench.name);
        }
    }
}

#[test]
fn norms_agree_with_f64() {
    let (rows, width) = (11, 136);
    // A mean far from 0 is where a one-pass variance fails.
    let x: Vec<f32> = numbers(3, rows * width).iter().map(|v| v + 100.0).collect();
    let [pending, w1, b1, w2, b2] = [4, 5, 6, 7, 8].map(|seed| numbers(seed, width));
    let wanted = [3_usize, 0, 10, 10, 7, 1, 2, 9, 5];
    let truth = |weight: &[f32], bias: &[f32]| -> Vec<f64> {
        wanted
            .iter()
            .flat_map(|row| norm(&x[row * width..][..width], &pending, weight, bias))
            .collect()
    };
    for dtype in DTYPES {
        for bench in Bench::all(dtype, BYTES) {
            let vectors = [&x, &pending, &w1, &b1, &w2, &b2].map(|v| bench.floats(v));
            let rows = bench.words(&wanted.map(|row| row as u32));
            let outs = [(); 2].map(|()| bench.elements(&vec![0.0; wanted.len() * width]));
            let [x, pending, w1b, b1b, w2b, b2b] = vectors.each_ref().map(Memory::arg);
            let args = [
                x,
                pending,
                rows.arg(),
                int(wanted.len()),
                int(width),
                Arg::Float(1e-5),
                w1b,
                b1b,
                outs[0].arg(),
                w2b,
                b2b,
                outs[1].arg(),
            ];
            bench.launch(Kernel::LayerNorm, [wanted.len().div_ceil(8), 1], 256, &args);
            // The mean of 100 costs the stream's own digits.
            let tolerance = tolerance(dtype).max(2e-4);
            near(
                bench.name,
                &bench.read_elements(&outs[0]),
                &truth(&w1, &b1),
                tolerance,
            );
            near(
                bench.name,
                &bench.read_elements(&outs[1]),
                &truth(&w2, &b2),
                tolerance,
            );
        }
    }
}

fn norm(x: &[f32], pending: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let x: Vec<f64> = x
        .iter()
        .zip(pending)
        .map(|(x, p)| f64::from(*x) + f64::from(*p))
        .collect();
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / x.len() as f64;
    let parts = x.iter().zip(weight).zip(bias);
    let one = |((v, w), b): ((&f64, &f32), &f32)| {
        (v - mean) / (variance + 1e-5).sqrt() * f64::from(*w) + f64::from(*b)
    };
    parts.map(one).collect()
}

#[test]
fn rotation_turns_queries_and_keys_only() {
    let (rows, heads, size, half) = (3, 2, 24, 3);
    let positions = [0_u32, 5, 1];
    let angle = |p: usize, i: usize| p as f64 * 0.3 + i as f64;
    let table = |f: fn(f64) -> f64| -> Vec<f32> {
        (0..6)
            .flat_map(|p| (0..half).map(move |i| (p, i)))
            .map(|(p, i)| f(angle(p, i)) as f32)
            .collect()
    };
    for dtype in DTYPES {
        let qkv = rounded(dtype, &numbers(9, rows * heads * 3 * size));
        let mut truth: Vec<f64> = qkv.iter().map(|x| f64::from(*x)).collect();
        for (line, x) in truth
            .chunks_mut(size)
            .enumerate()
            .filter(|(line, _)| line % 3 < 2)
        {
            for i in 0..half {
                let (sin, cos) = angle(positions[line / 3 / heads] as usize, i).sin_cos();
                (x[i], x[i + half]) = (
                    x[i] * cos - x[i + half] * sin,
                    x[i + half] * cos + x[i] * sin,
                );
            }
        }
        for bench in Bench::all(dtype, BYTES) {
            let (memory, positions) = (bench.elements(&qkv), bench.words(&positions));
            let (cosines, sines) = (
                bench.floats(&table(f64::cos)),
                bench.floats(&table(f64::sin)),
            );
            let sizes = [rows, heads, size, half].map(int);
            let args = [
                &[memory.arg(), cosines.arg(), sines.arg(), positions.arg()],
                &sizes[..],
            ]
            .concat();
            bench.launch(Kernel::Rotary, [1, 1], 256, &args);
            near(
                bench.name,
                &bench.read_elements(&memory),
                &truth,
                tolerance(dtype),
            );
        }
    }
}

#[test]
fn activations_agree_with_f64() {
    let (rows, width, stride) = (3, 40, 56);
    for (dtype, tanh_form) in DTYPES.into_iter().flat_map(|d| [(d, 0), (d, 1)]) {
        let wide = |x: f32| x * 6.0;
        let x: Vec<f32> = numbers(10, rows * stride).into_iter().map(wide).collect();
        let (x, bias) = (rounded(dtype, &x), numbers(11, width));
        let gelu = |x: f64| match tanh_form {
            0 => 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
            _ => {
                0.5 * x
                    * (1.0
                        + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3)))
                            .tanh())
            }
        };
        let one = |i: usize| {
            let (x, column) = (f64::from(x[i]), i % stride);
            if column < width {
                gelu(x + f64::from(bias[column]))
            } else {
                x
            }
        };
        let truth: Vec<f64> = (0..rows * stride).map(one).collect();
        for bench in Bench::all(dtype, BYTES) {
            let (memory, bias) = (bench.elements(&x), bench.floats(&bias));
            let args = [
                memory.arg(),
                bias.arg(),
                int(rows),
                int(width),
                int(stride),
                Arg::Int(tanh_form),
            ];
            bench.launch(Kernel::BiasGelu, [1, 1], 256, &args);
            near(
                bench.name,
                &bench.read_elements(&memory),
                &truth,
                tolerance(dtype),
            );
        }
    }
}

#[test]
fn log_probabilities_agree_with_f64_whatever_the_blocks() {
    let (rows, vocabulary) = (4, 1031);
    let logits: Vec<f32> = numbers(13, rows * vocabulary)
        .into_iter()
        .map(|x| 30.0 * x)
        .collect();
    let targets = [0_u32, 1030, 515, 7];
    let truth: Vec<f64> = logits
        .chunks(vocabulary)
        .zip(targets)
        .map(|(x, t)| {
            let sum: f64 = x.iter().map(|x| f64::from(*x).exp()).sum();
            f64::from(x[t as usize]) - sum.ln()
        })
        .collect();
    for bench in Bench::all(Dtype::F32, BYTES) {
        for columns in [1031, 512, 104, 37] {
            near(
                bench.name,
                &log_probs(&bench, &logits, &targets, vocabulary, columns),
                &truth,
                2e-6,
            );
        }
        for broken in [f32::NAN, f32::INFINITY] {
            for at in [0, 514, 1030] {
                let mut logits = logits.clone();
                logits[vocabulary + at] = broken;
                let found = log_probs(&bench, &logits, &targets, vocabulary, 512);
                assert_eq!(
                    found.map(f32::is_nan),
                    [false, true, false, false],
                    "{} {broken} {at}",
                    bench.name
                );
            }
        }
    }
}

fn log_probs(
    bench: &Bench,
    logits: &[f32],
    targets: &[u32; 4],
    vocabulary: usize,
    columns: usize,
) -> [f32; 4] {
    let (targets, totals) = (bench.words(targets), bench.floats(&[0.0; 8]));
    let (picked, out) = (bench.floats(&[0.0; 4]), bench.floats(&[0.0; 4]));
    for first in (0..vocabulary).step_by(columns) {
        let width = columns.min(vocabulary - first);
        let mut block = vec![f32::NAN; 4 * columns];
        for (to, from) in block.chunks_mut(columns).zip(logits.chunks(vocabulary)) {
            to[..width].copy_from_slice(&from[first..first + width]);
        }
        let block = bench.floats(&block);
        let sizes = [width, columns, first].map(int);
        let args = [
            &[block.arg(), targets.arg(), totals.arg(), picked.arg()],
            &sizes[..],
        ]
        .concat();
        bench.launch(Kernel::AddLogits, [4, 1], 256, &args);
    }
    let args = [out.arg(), totals.arg(), picked.arg(), int(4)];
    bench.launch(Kernel::FinishLogProbs, [1, 1], 256, &args);
    *bench.read_floats(&out).first_chunk().unwrap()
}
