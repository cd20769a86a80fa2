//! The recurrence of a selective state space (Mamba).

use super::isa::dispatch;
use super::vector_math::{exp, silu};

/// The parameters of a layer's recurrence; a channel is an element of the inner width.
pub(crate) struct Scan {
    /// `[channels, kernel]`: what the last inputs of a channel are weighted with, the oldest first.
    pub(crate) convolution: Vec<f32>,
    /// One for each channel.
    pub(crate) convolution_bias: Vec<f32>,
    /// `[channels, states]`: minus the rate at which a state decays.
    pub(crate) decay: Vec<f32>,
    /// What of a channel's input goes straight to its output.
    pub(crate) skip: Vec<f32>,
}

impl Scan {
    fn channels(&self) -> usize {
        self.skip.len()
    }

    fn states(&self) -> usize {
        self.decay.len() / self.channels()
    }

    /// Causal convolution along one window's rows and x / (1 + e^-x): `out` is `[tokens, channels]`, `x` has
    /// its channels first in rows of `stride` elements.
    pub(crate) fn convolve(&self, out: &mut [f32], x: &[f32], stride: usize) {
        let channels = self.channels();
        let kernel = self.convolution.len() / channels;
        for (t, out) in out.chunks_exact_mut(channels).enumerate() {
            for (c, y) in out.iter_mut().enumerate() {
                let weights = &self.convolution[c * kernel..(c + 1) * kernel];
                let first = (t + 1).saturating_sub(kernel);
                let inputs = (first..=t).map(|at| x[at * stride + c]);
                let seen = weights[kernel - (t + 1 - first)..].iter().zip(inputs);
                let sum: f32 = seen.map(|(w, x)| w * x).sum();
                *y = silu(sum + self.convolution_bias[c]);
            }
        }
    }
}

dispatch! {
    /// Runs the recurrence over one window. `x` (`[tokens, channels]`) becomes the output; `steps`
    /// (`[tokens, channels]`) are step sizes; `mixing` has the input and output weights of the states
    /// one after the other, at the end of rows of `stride` elements.
    pub(crate) fn selective_scan(scan: &Scan, x: &mut [f32], steps: &[f32], mixing: &[f32], stride: usize) = body
}

#[inline(always)]
fn body(scan: &Scan, x: &mut [f32], steps: &[f32], mixing: &[f32], stride: usize) {
    let (channels, states) = (scan.channels(), scan.states());
    let mut memory = vec![0.0; channels * states];
    let rows = x
        .chunks_exact_mut(channels)
        .zip(steps.chunks_exact(channels));
    for ((x, steps), mixing) in rows.zip(mixing.chunks_exact(stride)) {
        let (into, out_of) = mixing[stride - 2 * states..].split_at(states);
        for c in 0..channels {
            let memory = &mut memory[c * states..(c + 1) * states];
            let decay = &scan.decay[c * states..(c + 1) * states];
            let mut y = 0.0;
            for n in 0..states {
                memory[n] = memory[n] * exp(steps[c] * decay[n]) + steps[c] * into[n] * x[c];
                y += memory[n] * out_of[n];
            }
            x[c] = y + scan.skip[c] * x[c];
        }
    }
}
