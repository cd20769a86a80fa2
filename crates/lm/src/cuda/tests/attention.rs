//! Attention against f64, wherever it can be run.

use super::bench::Bench;
use super::host::round;
use super::kernels::{BYTES, DTYPES, int, rounded};
use super::oracle::{attention, near, numbers, tolerance};
use crate::batch::Rows;
use crate::cuda::device::{Arg, Kernel, TENSOR_SIZES};
use crate::cuda::packed::Packed;
use crate::{Dtype, Sequence};

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
    for bench in Bench::all(dtype, BYTES) {
        let (memory, words) = (bench.elements(&qkv), bench.words(&packed.words));
        let out = bench.elements(&vec![0.5; packed.tokens * stride]);
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
            bench.launch(kernel, [packed.tokens.div_ceil(4), heads], 128, &args);
        } else {
            let args = [
                out.arg(),
                memory.arg(),
                at(packed.at.tiles),
                int(heads),
                int(stride),
                scale,
            ];
            bench.launch(kernel, [packed.tiles, heads], 128, &args);
        }
        let what = format!("{}, {dtype:?}, {size}", bench.name);
        near(&what, &bench.read_elements(&out), &truth, tolerance(dtype));
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
