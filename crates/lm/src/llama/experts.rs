//! A feed-forward layer of which each token uses the experts that a router sends it to.

use super::body::{Gated, Linear};
use crate::kernels::After;

pub(super) struct Experts {
    pub(super) router: Linear,
    pub(super) experts: Vec<Gated>,
    /// Experts for each token.
    pub(super) used: usize,
}

impl Experts {
    /// `x += Σ weight · expert(normed)`, expert by expert, each for the rows that are sent to it.
    pub(super) fn apply(&self, x: &mut [f32], normed: &[f32]) {
        let width = self.router.weight.columns();
        let count = self.experts.len();
        let mut scores = vec![0.0; normed.len() / width * count];
        self.router.apply(&mut scores, count, normed, After::Store);
        let sent: Vec<Vec<(usize, f32)>> =
            scores.chunks_exact(count).map(|s| self.choose(s)).collect();
        for (number, expert) in self.experts.iter().enumerate() {
            let of_row = |(row, sent): (usize, &Vec<(usize, f32)>)| {
                let found = sent.iter().find(|(expert, _)| *expert == number);
                found.map(|(_, weight)| (row, *weight))
            };
            let rows: Vec<(usize, f32)> = sent.iter().enumerate().filter_map(of_row).collect();
            let gathered: Vec<f32> = rows
                .iter()
                .flat_map(|(row, _)| &normed[row * width..(row + 1) * width])
                .copied()
                .collect();
            let mut out = vec![0.0; gathered.len()];
            expert.apply(&mut out, &gathered);
            for ((row, weight), out) in rows.iter().zip(out.chunks_exact(width)) {
                for (x, y) in x[row * width..].iter_mut().zip(out) {
                    *x += weight * y;
                }
            }
        }
    }

    /// The experts of a row with the largest scores, and their shares by softmax over these.
    fn choose(&self, scores: &[f32]) -> Vec<(usize, f32)> {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let top = scores[order[0]];
        let chosen = order[..self.used].iter();
        let parts: Vec<(usize, f32)> = chosen.map(|i| (*i, libm::expf(scores[*i] - top))).collect();
        let total: f32 = parts.iter().map(|(_, part)| part).sum();
        parts
            .into_iter()
            .map(|(i, part)| (i, part / total))
            .collect()
    }
}
