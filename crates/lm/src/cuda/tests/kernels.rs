//! Each kernel, its twin and the emulator's run of it against f64.

use std::sync::Arc;

use super::host::{Host, round};
use super::oracle::{attention, near, numbers, tolerance};
use super::{emulator, twins};
use crate::Dtype;
use crate::Sequence;
use crate::batch::Rows;
use crate::cuda::device::{Arg, Device, Kernel, Launch, Memory, TENSOR_SIZES};
use crate::cuda::packed::Packed;

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::F16];
const BYTES: usize = 16 << 20;

/// Hosts that run kernels: with twins, and with the emulator in both orders.
#[allow(clippy::print_stderr, reason = "says that it tested less")]
pub(super) fn hosts(dtype: Dtype, bytes: usize) -> Vec<(&'static str, Arc<Host>)> {
    let mut hosts = vec![("twin", Host::new(dtype, bytes, Box::new(twins::run)))];
    for (name, backwards) in [("kernel", false), ("kernel, backwards", true)] {
        match emulator::run(dtype, backwards) {
            Some(run) => hosts.push((name, Host::new(dtype, bytes, run))),
            None => eprintln!("no C++ compiler: only the twins of the kernels are tested"),
        }
    }
    hosts
}

fn int(n: usize) -> Arg {
    Arg::Int(n as i32)
}

fn launch(host: &Host, kernel: Kernel, grid: [usize; 2], threads: usize, args: &[Arg]) {
    let shared = match kernel {
        Kernel::Attention(size) => (64 + 4 * Kernel::keys(size)) * (size + 8) * 2,
        _ => 0,
    };
    let launch = Launch {
        kernel,
        grid,
        threads,
        shared,
        args,
    };
    host.launch(&launch).unwrap();
    host.check();
}

fn rounded(dtype: Dtype, values: &[f32]) -> Vec<f32> {
    values.iter().map(|x| round(dtype, *x)).collect()
}

#[test]
fn embedding_and_conversion_are_exact() {
    for dtype in DTYPES {
        for (name, host) in hosts(dtype, BYTES) {
            let table = numbers(1, 5 * 24);
            let stored: Vec<u32> = table.iter().map(|x| x.to_bits()).collect();
            let (from, to) = (host.words(&stored), host.elements(&[9.0; 5 * 32]));
            let args = [to.arg(), from.arg(), int(0), int(5), int(24), int(32)];
            launch(&host, Kernel::Convert, [1, 1], 128, &args);
            let lines = host.read_elements(&to);
            for (line, truth) in lines.chunks(32).zip(rounded(dtype, &table).chunks(24)) {
                assert_eq!((&line[..24], &line[24..]), (truth, &[9.0; 8][..]), "{name}");
            }
            let (x, ids) = (host.floats(&[0.0; 3 * 32]), host.words(&[4, 0, 4]));
            launch(
                &host,
                Kernel::Embed,
                [3, 1],
                128,
                &[x.arg(), to.arg(), ids.arg(), int(32)],
            );
            let x = host.read_floats(&x);
            assert_eq!(
                x,
                [&lines[4 * 32..], &lines[..32], &lines[4 * 32..]].concat(),
                "{name}"
            );
        }
    }
}

#[test]
fn halves_of_files_are_converted() {
    for (kind, dtype) in [(1, Dtype::Bf16), (2, Dtype::F16)] {
        let values = rounded(dtype, &numbers(2, 16));
        let bits = |x: f32| match dtype {
            Dtype::Bf16 => half::bf16::from_f32(x).to_bits(),
            _ => half::f16::from_f32(x).to_bits(),
        };
        let word = |pair: &[f32]| u32::from(bits(pair[0])) | u32::from(bits(pair[1])) << 16;
        let words: Vec<u32> = values.chunks(2).map(word).collect();
        for (name, host) in hosts(Dtype::F32, BYTES) {
            let (from, to) = (host.words(&words), host.elements(&[0.0; 16]));
            let args = [to.arg(), from.arg(), Arg::Int(kind), int(2), int(8), int(8)];
            launch(&host, Kernel::Convert, [1, 1], 128, &args);
            assert_eq!(host.read_elements(&to), values, "{name}");
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
        for (name, host) in hosts(dtype, BYTES) {
            let vectors = [&x, &pending, &w1, &b1, &w2, &b2].map(|v| host.floats(v));
            let rows = host.words(&wanted.map(|row| row as u32));
            let outs = [(); 2].map(|()| host.elements(&vec![0.0; wanted.len() * width]));
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
            launch(
                &host,
                Kernel::LayerNorm,
                [wanted.len().div_ceil(8), 1],
                256,
                &args,
            );
            // The mean of 100 costs the stream's own digits.
            let tolerance = tolerance(dtype).max(2e-4);
            near(
                name,
                &host.read_elements(&outs[0]),
                &truth(&w1, &b1),
                tolerance,
            );
            near(
                name,
                &host.read_elements(&outs[1]),
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
        for (name, host) in hosts(dtype, BYTES) {
            let (memory, positions) = (host.elements(&qkv), host.words(&positions));
            let (cosines, sines) = (host.floats(&table(f64::cos)), host.floats(&table(f64::sin)));
            let sizes = [rows, heads, size, half].map(int);
            let args = [
                &[memory.arg(), cosines.arg(), sines.arg(), positions.arg()],
                &sizes[..],
            ]
            .concat();
            launch(&host, Kernel::Rotary, [1, 1], 256, &args);
            near(name, &host.read_elements(&memory), &truth, tolerance(dtype));
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
        for (name, host) in hosts(dtype, BYTES) {
            let (memory, bias) = (host.elements(&x), host.floats(&bias));
            let args = [
                memory.arg(),
                bias.arg(),
                int(rows),
                int(width),
                int(stride),
                Arg::Int(tanh_form),
            ];
            launch(&host, Kernel::BiasGelu, [1, 1], 256, &args);
            near(name, &host.read_elements(&memory), &truth, tolerance(dtype));
        }
    }
}

/// Attention of windows of these lengths in two heads of `size` by `kernel`.
fn check_attention(dtype: Dtype, size: usize, lengths: &[usize], kernel: Kernel) {
    let heads = 2;
    let sequences: Vec<Sequence> = lengths
        .iter()
        .map(|n| Sequence::whole(&vec![0; n + 1]))
        .collect();
    let rows = Rows::new(sequences.iter());
    let packed = Packed::new(&rows);
    let count = packed.tokens * heads * 3 * size;
    let scaled: Vec<f32> = numbers(12 + size as u32, count)
        .into_iter()
        .map(|x| 2.0 * x)
        .collect();
    let qkv = rounded(dtype, &scaled);
    let stride = heads * size + 8;
    let mut truth = vec![f64::from(round(dtype, 0.5)); packed.tokens * stride];
    for window in &rows.windows {
        for head in 0..heads {
            let part = |part: usize| -> Vec<f32> {
                let at = |t: usize| ((t * heads + head) * 3 + part) * size;
                window
                    .clone()
                    .flat_map(|t| qkv[at(t)..at(t) + size].to_vec())
                    .collect()
            };
            let lines = attention(&part(0), &part(1), &part(2), size);
            for (t, line) in window.clone().zip(lines.chunks(size)) {
                truth[t * stride + head * size..][..size].copy_from_slice(line);
            }
        }
    }
    for (name, host) in hosts(dtype, BYTES) {
        let (memory, words) = (host.elements(&qkv), host.words(&packed.words));
        let out = host.elements(&vec![0.5; packed.tokens * stride]);
        let at = |offset: usize| Arg::Address(words.address() + 4 * offset as u64);
        let scale = Arg::Float(std::f32::consts::LOG2_E / (size as f32).sqrt());
        if kernel == Kernel::AttentionPlain {
            let sizes = [packed.tokens, heads, size, stride].map(int);
            let args = [
                &[out.arg(), memory.arg(), at(packed.at.positions)],
                &sizes[..],
                &[scale],
            ]
            .concat();
            launch(
                &host,
                kernel,
                [packed.tokens.div_ceil(4), heads],
                128,
                &args,
            );
        } else {
            let args = [
                out.arg(),
                memory.arg(),
                at(packed.at.tiles),
                int(heads),
                int(stride),
                scale,
            ];
            launch(&host, kernel, [packed.tiles, heads], 128, &args);
        }
        let what = format!("{name}, {dtype:?}, {size}");
        near(&what, &host.read_elements(&out), &truth, tolerance(dtype));
    }
}

#[test]
fn plain_attention_agrees_with_f64() {
    for dtype in DTYPES {
        check_attention(dtype, 24, &[33, 1, 2, 70], Kernel::AttentionPlain);
    }
    check_attention(Dtype::F32, 256, &[3, 34], Kernel::AttentionPlain);
    check_attention(Dtype::F32, 7, &[40], Kernel::AttentionPlain);
}

#[test]
fn attention_on_tensor_cores_agrees_with_f64() {
    for size in TENSOR_SIZES {
        let lengths = if size > 64 {
            &[1, 70][..]
        } else {
            &[5, 64, 1, 150][..]
        };
        check_attention(Dtype::Bf16, size, lengths, Kernel::Attention(size));
    }
    check_attention(Dtype::F16, 64, &[17, 130], Kernel::Attention(64));
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
    for (name, host) in hosts(Dtype::F32, BYTES) {
        for columns in [1031, 512, 104, 37] {
            near(
                name,
                &log_probs(&host, &logits, &targets, vocabulary, columns),
                &truth,
                2e-6,
            );
        }
        for broken in [f32::NAN, f32::INFINITY] {
            for at in [0, 514, 1030] {
                let mut logits = logits.clone();
                logits[vocabulary + at] = broken;
                let found = log_probs(&host, &logits, &targets, vocabulary, 512);
                assert_eq!(
                    found.map(f32::is_nan),
                    [false, true, false, false],
                    "{name} {broken} {at}"
                );
            }
        }
    }
}

fn log_probs(
    host: &Arc<Host>,
    logits: &[f32],
    targets: &[u32; 4],
    vocabulary: usize,
    columns: usize,
) -> [f32; 4] {
    let (targets, totals) = (host.words(targets), host.floats(&[0.0; 8]));
    let (picked, out) = (host.floats(&[0.0; 4]), host.floats(&[0.0; 4]));
    for first in (0..vocabulary).step_by(columns) {
        let width = columns.min(vocabulary - first);
        let mut block = vec![f32::NAN; 4 * columns];
        for (to, from) in block.chunks_mut(columns).zip(logits.chunks(vocabulary)) {
            to[..width].copy_from_slice(&from[first..first + width]);
        }
        let block = host.floats(&block);
        let sizes = [width, columns, first].map(int);
        let args = [
            &[block.arg(), targets.arg(), totals.arg(), picked.arg()],
            &sizes[..],
        ]
        .concat();
        launch(host, Kernel::AddLogits, [4, 1], 256, &args);
    }
    let args = [out.arg(), totals.arg(), picked.arg(), int(4)];
    launch(host, Kernel::FinishLogProbs, [1, 1], 256, &args);
    *host.read_floats(&out).first_chunk().unwrap()
}
