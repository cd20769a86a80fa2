//! Every kernel in plain Rust: the same steps, rounded at the same points.

use super::host::{Args, Bytes, round};
use crate::cuda::device::{Kernel, Launch};
use crate::cuda::packed::QUERIES;

const LOWEST: f32 = -3.0e38;

/// Runs the twin of a kernel.
pub(super) fn run(memory: &mut Bytes, launch: &Launch<'_>) {
    let args = Args::of(launch);
    match launch.kernel {
        Kernel::Embed => embed(memory, args, launch.grid[0]),
        Kernel::Convert => convert(memory, args),
        Kernel::LayerNorm => layer_norm(memory, args),
        Kernel::Rotary => rotary(memory, args),
        Kernel::BiasGelu => bias_gelu(memory, args),
        Kernel::AttentionPlain => attention_plain(memory, args),
        Kernel::Attention(size) => attention(memory, args, launch.grid[0], size),
        Kernel::AddLogits => add_logits(memory, args, launch.grid[0]),
        Kernel::FinishLogProbs => finish_log_probs(memory, args),
    }
}

fn embed(memory: &mut Bytes, mut args: Args<'_>, rows: usize) {
    let (x, table, ids, width) = (args.address(), args.address(), args.address(), args.int());
    for row in 0..rows {
        let id = memory.word(ids, row) as usize;
        for i in 0..width {
            let value = memory.get(table, id * width + i);
            memory.set_float(x, row * width + i, value);
        }
    }
}

fn convert(memory: &mut Bytes, mut args: Args<'_>) {
    let (to, from, stored) = (args.address(), args.address(), args.int());
    let (rows, width, stride) = (args.int(), args.int(), args.int());
    for i in 0..rows * width {
        let value = match stored {
            0 => memory.float(from, i),
            1 => half::bf16::from_bits(memory.half(from, i)).to_f32(),
            _ => half::f16::from_bits(memory.half(from, i)).to_f32(),
        };
        memory.set(to, i / width * stride + i % width, value);
    }
}

fn layer_norm(memory: &mut Bytes, mut args: Args<'_>) {
    let (x, pending, rows) = (args.address(), args.address(), args.address());
    let (count, width, eps) = (args.int(), args.int(), args.real());
    let norms = [(); 2].map(|()| [args.address(), args.address(), args.address()]);
    for row in 0..count {
        let from = if rows == 0 {
            row
        } else {
            memory.word(rows, row) as usize
        };
        let value = |i: usize| memory.float(x, from * width + i) + memory.float(pending, i);
        let values: Vec<f32> = (0..width).map(value).collect();
        let mean = values.iter().sum::<f32>() / width as f32;
        let squares: f32 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        let scale = 1.0 / (squares / width as f32 + eps).sqrt();
        for [weight, bias, out] in norms.into_iter().filter(|[.., out]| *out != 0) {
            for (i, v) in values.iter().enumerate() {
                let y = (v - mean) * scale * memory.float(weight, i) + memory.float(bias, i);
                memory.set(out, row * width + i, y);
            }
        }
    }
}

fn rotary(memory: &mut Bytes, mut args: Args<'_>) {
    let (qkv, cosines, sines) = (args.address(), args.address(), args.address());
    let positions = args.address();
    let (rows, heads, size, half) = (args.int(), args.int(), args.int(), args.int());
    for i in 0..rows * heads * 2 * half {
        let (pair, part, head) = (i % half, i / half % 2, i / half / 2 % heads);
        let row = i / half / 2 / heads;
        let at = ((row * heads + head) * 3 + part) * size + pair;
        let angle = memory.word(positions, row) as usize * half + pair;
        let (c, s) = (memory.float(cosines, angle), memory.float(sines, angle));
        let (a, b) = (memory.get(qkv, at), memory.get(qkv, at + half));
        memory.set(qkv, at, a * c - b * s);
        memory.set(qkv, at + half, b * c + a * s);
    }
}

fn bias_gelu(memory: &mut Bytes, mut args: Args<'_>) {
    let (x, bias) = (args.address(), args.address());
    let (rows, width, stride, tanh_form) = (args.int(), args.int(), args.int(), args.int());
    for row in 0..rows {
        for i in 0..width {
            let v = memory.get(x, row * stride + i) + memory.float(bias, i);
            let inner = if tanh_form == 1 {
                (0.797_884_6 * (v + 0.044_715 * v * v * v)).tanh()
            } else {
                libm::erff(v * std::f32::consts::FRAC_1_SQRT_2)
            };
            memory.set(x, row * stride + i, 0.5 * v * (1.0 + inner));
        }
    }
}

/// One query's softmax so far.
struct Mix {
    top: f32,
    total: f32,
    mixed: Vec<f32>,
}

impl Mix {
    fn new(size: usize) -> Self {
        Self {
            top: LOWEST,
            total: 0.0,
            mixed: vec![0.0; size],
        }
    }

    /// Adds keys with scores of base 2; `weigh` is what becomes of a weight before it meets a value.
    fn add(
        &mut self,
        scores: &[f32],
        value: impl Fn(usize, usize) -> f32,
        weigh: impl Fn(f32) -> f32,
    ) {
        let top = scores.iter().copied().fold(self.top, f32::max);
        let shrink = (self.top - top).exp2();
        self.top = top;
        self.total *= shrink;
        self.mixed.iter_mut().for_each(|m| *m *= shrink);
        for (key, score) in scores.iter().enumerate() {
            let weight = (score - top).exp2();
            self.total += weight;
            for (i, mixed) in self.mixed.iter_mut().enumerate() {
                *mixed += weigh(weight) * value(key, i);
            }
        }
    }
}

fn attention_plain(memory: &mut Bytes, mut args: Args<'_>) {
    let (out, qkv, positions) = (args.address(), args.address(), args.address());
    let (rows, heads, size) = (args.int(), args.int(), args.int());
    let (stride, scale) = (args.int(), args.real());
    for (row, head) in (0..rows).flat_map(|row| (0..heads).map(move |head| (row, head))) {
        let start = row - memory.word(positions, row) as usize;
        let part = |row: usize, part: usize, i: usize| {
            memory.get(qkv, ((row * heads + head) * 3 + part) * size + i)
        };
        let query: Vec<f32> = (0..size).map(|i| part(row, 0, i) * scale).collect();
        let score = |key: usize| (0..size).map(|i| query[i] * part(key, 1, i)).sum();
        let mut mix = Mix::new(size);
        for first in (start..=row).step_by(32) {
            let scores: Vec<f32> = (first..=row.min(first + 31)).map(score).collect();
            mix.add(&scores, |key, i| part(first + key, 2, i), |w| w);
        }
        for (i, mixed) in mix.mixed.iter().enumerate() {
            memory.set(out, row * stride + head * size + i, mixed / mix.total);
        }
    }
}

fn attention(memory: &mut Bytes, mut args: Args<'_>, tiles: usize, size: usize) {
    let (out, qkv, tile_list) = (args.address(), args.address(), args.address());
    let (heads, stride, scale) = (args.int(), args.int(), args.real());
    let (dtype, keys) = (memory.dtype, Kernel::keys(size));
    for (tile, head) in (0..tiles).flat_map(|tile| (0..heads).map(move |head| (tile, head))) {
        let [start, end, query] = [0, 1, 2].map(|i| memory.word(tile_list, 3 * tile + i) as usize);
        for row in query..end.min(query + QUERIES) {
            let part = |row: usize, part: usize, i: usize| {
                memory.get(qkv, ((row * heads + head) * 3 + part) * size + i)
            };
            let score = |key: usize| {
                let dot: f32 = (0..size).map(|i| part(row, 0, i) * part(key, 1, i)).sum();
                dot * scale
            };
            let mut mix = Mix::new(size);
            for first in (start..=row).step_by(keys) {
                let scores: Vec<f32> = (first..=row.min(first + keys - 1)).map(score).collect();
                mix.add(
                    &scores,
                    |key, i| part(first + key, 2, i),
                    |w| round(dtype, w),
                );
            }
            for (i, mixed) in mix.mixed.iter().enumerate() {
                memory.set(out, row * stride + head * size + i, mixed / mix.total);
            }
        }
    }
}

fn add_logits(memory: &mut Bytes, mut args: Args<'_>, rows: usize) {
    let (logits, targets, totals) = (args.address(), args.address(), args.address());
    let (picked, width, stride, first) = (args.address(), args.int(), args.int(), args.int());
    for row in 0..rows {
        let x: Vec<f32> = (0..width)
            .map(|i| memory.float(logits, row * stride + i))
            .collect();
        let before = (
            memory.float(totals, 2 * row),
            memory.float(totals, 2 * row + 1),
        );
        let (mut top, mut sum) = if first == 0 { (LOWEST, 0.0) } else { before };
        let next = x
            .iter()
            .map(|x| x * std::f32::consts::LOG2_E)
            .fold(top, f32::max);
        sum *= (top - next).exp2();
        top = next;
        sum += x
            .iter()
            .map(|x| (x * std::f32::consts::LOG2_E - top).exp2())
            .sum::<f32>();
        memory.set_float(totals, 2 * row, top);
        memory.set_float(totals, 2 * row + 1, sum);
        let target = memory.word(targets, row) as usize;
        if (first..first + width).contains(&target) {
            memory.set_float(picked, row, x[target - first]);
        }
    }
}

fn finish_log_probs(memory: &mut Bytes, mut args: Args<'_>) {
    let (out, totals, picked, rows) = (args.address(), args.address(), args.address(), args.int());
    for row in 0..rows {
        let (top, sum) = (
            memory.float(totals, 2 * row),
            memory.float(totals, 2 * row + 1),
        );
        let log_sum = (top + sum.log2()) * std::f32::consts::LN_2;
        let value = memory.float(picked, row) - log_sum;
        memory.set_float(out, row, value);
    }
}
