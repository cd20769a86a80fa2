//! Refits on resampled or shifted data: what the parameters could as well have been.

use rand::RngExt;

use super::params::{FitParams, Resample};
use super::points::distinct;
use super::problem::{Found, Points, Problem};
use crate::bootstrap::{generator, resample};
use crate::laws::Law;

/// Refits that say what rounding of the ratios does.
const ROUNDED: usize = 200;

/// Chunks by cell, in the order of the points: (chunk, ratio), sorted.
pub(super) type ChunkRatios = Vec<Vec<(u64, f64)>>;

/// A refit: parameters, then R² and the root mean square error on what was fitted.
pub(super) type Draw = Vec<f64>;

/// What refits start from.
pub(super) struct Refits<'r> {
    pub(super) params: &'r FitParams,
    pub(super) law: &'r Law,
    pub(super) points: &'r Points,
    pub(super) best: &'r Found,
    /// Protocol, modality and convention: what the draws depend on besides the seed.
    pub(super) names: [&'r str; 3],
    pub(super) chunks: Option<&'r ChunkRatios>,
    pub(super) threads: usize,
}

impl Refits<'_> {
    pub(super) fn bootstrap(&self) -> Vec<Draw> {
        match (self.params.resample, self.chunks) {
            (Resample::Chunks, Some(chunks)) => {
                let all = chunk_numbers(chunks);
                self.parallel(self.params.bootstrap, &|problem, number| {
                    problem.set_ratios(&self.drawn_ratios(chunks, &all, number));
                })
            }
            _ => self.parallel(self.params.bootstrap, &|problem, number| {
                problem.set_counts(&self.drawn_counts(number));
            }),
        }
    }

    /// Each ratio moved within half its last printed digit.
    pub(super) fn rounded(&self) -> Vec<Draw> {
        let Some(resolution) = self.params.resolution else {
            return Vec::new();
        };
        self.parallel(ROUNDED, &|problem, number| {
            let mut random = self.random("rounding", number);
            let moved = self.points.y.iter().map(|y| {
                let part: f64 = random.random();
                y + (part - 0.5) * resolution
            });
            problem.set_ratios(&moved.collect::<Vec<f64>>());
        })
    }

    fn random(&self, kind: &str, number: usize) -> rand_chacha::ChaCha8Rng {
        let [protocol, modality, convention] = self.names;
        let number = number.to_string();
        if kind.is_empty() {
            generator(self.params.seed, &[protocol, modality, convention, &number])
        } else {
            generator(
                self.params.seed,
                &[kind, protocol, modality, convention, &number],
            )
        }
    }

    /// How often each cell is drawn. A draw with one size or one step could not be fitted: again.
    fn drawn_counts(&self, number: usize) -> Vec<f64> {
        let mut random = self.random("", number);
        let n = self.points.y.len();
        loop {
            let drawn = resample(&mut random, n);
            let pick = |values: &[f64]| drawn.iter().map(|i| values[*i]).collect::<Vec<f64>>();
            let varied = |values: &[f64]| distinct(values) == 1 || distinct(&pick(values)) > 1;
            if varied(&self.points.p) && varied(&self.points.s) {
                let mut counts = vec![0.0; n];
                for place in drawn {
                    counts[place] += 1.0;
                }
                return counts;
            }
        }
    }

    /// Mean ratios over the same resample of chunks in every cell.
    fn drawn_ratios(&self, chunks: &ChunkRatios, all: &[u64], number: usize) -> Vec<f64> {
        let mut random = self.random("chunks", number);
        let mut times = vec![0.0; all.len()];
        for place in resample(&mut random, all.len()) {
            times[place] += 1.0;
        }
        let mean = |cell: &Vec<(u64, f64)>| {
            let (mut sum, mut count) = (0.0, 0.0);
            for (chunk, ratio) in cell {
                let place = all.binary_search(chunk).unwrap_or_default();
                sum += times[place] * ratio;
                count += times[place];
            }
            sum / count
        };
        let means: Vec<f64> = chunks.iter().map(mean).collect();
        // No chunk of a cell was drawn: it keeps its own ratio.
        let kept = means.iter().zip(&self.points.y);
        kept.map(|(mean, y)| if mean.is_finite() { *mean } else { *y })
            .collect()
    }

    /// Each refit has a generator of its own, so that threads change nothing.
    fn parallel(
        &self,
        total: usize,
        change: &(dyn Fn(&mut Problem<'_>, usize) + Sync),
    ) -> Vec<Draw> {
        let share = total.div_ceil(self.threads.max(1)).max(1);
        let part = |from: usize| {
            let mut problem = Problem::new(self.law, self.points, self.params.refit_method());
            (from..(from + share).min(total))
                .map(|number| {
                    change(&mut problem, number);
                    let found = problem.solve(Some(&self.best.parameters));
                    let (r2, rmse) = problem.explained(&found.parameters);
                    let mut draw = found.parameters;
                    draw.extend([r2, rmse]);
                    draw
                })
                .collect::<Vec<Draw>>()
        };
        std::thread::scope(|scope| {
            let parts = (0..total).step_by(share);
            let parts: Vec<_> = parts.map(|from| scope.spawn(move || part(from))).collect();
            let done = parts
                .into_iter()
                .map(|part| part.join().unwrap_or_default());
            done.flatten().collect()
        })
    }
}

fn chunk_numbers(chunks: &ChunkRatios) -> Vec<u64> {
    let mut all: Vec<u64> = chunks.iter().flatten().map(|(chunk, _)| *chunk).collect();
    all.sort_unstable();
    all.dedup();
    all
}
