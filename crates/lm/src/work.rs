//! Sharing out windows over threads, and putting what they score together chunk by chunk.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cpipe_data::scores::ChunkScore;
use cpipe_data::tokens::{TokenSet, TokenizedChunk};
use cpipe_engine::StageContext;

use crate::batch::Submitted;
use crate::journal::{Journal, Known};
use crate::{LmError, Model, Plan, Sequence, Window};

/// A journal and what it knew when it was opened.
pub(crate) struct Journaled {
    journal: Journal,
    known: Known,
}

impl Journaled {
    /// Opens the journal of a plan at `path`; `job` says whose weights and rules these are.
    pub(crate) fn open(path: &Path, job: &str, plan: &Plan) -> Result<Self, LmError> {
        let sizes: Vec<usize> = plan.windows().iter().map(|w| w.scored.len()).collect();
        let (journal, known) = Journal::open(path, job, &sizes)?;
        Ok(Self { journal, known })
    }
}

/// Scores every window of `plan` with `context.threads` threads; gives a row per chunk and protocol,
/// chunk by chunk.
///
/// What a window scores does not depend on the threads or on the windows it is computed with.
pub fn score_windows(
    model: &Model,
    tokens: &TokenSet,
    plan: &Plan,
    context: &StageContext<'_>,
) -> Result<Vec<ChunkScore>, LmError> {
    score_chunks(model, tokens, plan, None, context)
}

pub(crate) fn score_chunks(
    model: &Model,
    tokens: &TokenSet,
    plan: &Plan,
    journaled: Option<Journaled>,
    context: &StageContext<'_>,
) -> Result<Vec<ChunkScore>, LmError> {
    let (journal, known) = match journaled {
        Some(Journaled { journal, known }) => (Some(journal), known),
        None => (None, vec![None; plan.windows().len()]),
    };
    let chunks: Vec<TokenizedChunk<'_>> = tokens.iter().collect();
    let todo: Vec<usize> = (0..known.len()).filter(|i| known[*i].is_none()).collect();
    let mut ledger = Ledger::new(plan, journal, chunks.len());
    for (window, log_probs) in known.into_iter().enumerate() {
        if let Some(log_probs) = log_probs {
            ledger.add(plan, &chunks, window, log_probs);
        }
    }
    let work = Work {
        model,
        plan,
        batches: batches(&todo, plan, model.batch_positions()),
        chunks,
        end_of_text: tokens.header().end_of_text,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        ledger: Mutex::new(ledger),
        context,
    };
    work.run()?;
    let ledger = work.ledger.into_inner();
    let rows = ledger.unwrap_or_else(PoisonError::into_inner).rows;
    Ok(rows.into_iter().flatten().collect())
}

/// Neighbouring windows in batches of at most `most` positions; a window may have more.
fn batches(todo: &[usize], plan: &Plan, most: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut positions = 0;
    for window in todo {
        let window_of = &plan.windows()[*window];
        let length = window_of.range.len() + usize::from(window_of.prefixed);
        positions += length;
        match batches.last_mut() {
            Some(batch) if positions <= most => batch.push(*window),
            _ => {
                batches.push(vec![*window]);
                positions = length;
            }
        }
    }
    batches
}

/// What the threads write to.
struct Ledger {
    journal: Option<Journal>,
    /// Results of windows whose chunk is not finished.
    pending: Known,
    /// Windows that each chunk waits for.
    missing: Vec<usize>,
    /// Rows of finished chunks.
    rows: Vec<Vec<ChunkScore>>,
    done: u64,
    total: u64,
}

impl Ledger {
    fn new(plan: &Plan, journal: Option<Journal>, chunks: usize) -> Self {
        let sizes = plan.windows().iter().map(|w| w.scored.len() as u64);
        Self {
            journal,
            pending: vec![None; plan.windows().len()],
            missing: (0..chunks)
                .map(|chunk| plan.of_chunk(chunk).len())
                .collect(),
            rows: vec![Vec::new(); chunks],
            done: 0,
            total: sizes.sum(),
        }
    }

    /// Takes what a window scored; the last one of a chunk makes its rows and frees its windows.
    fn add(
        &mut self,
        plan: &Plan,
        chunks: &[TokenizedChunk<'_>],
        window: usize,
        log_probs: Vec<f32>,
    ) {
        self.done += log_probs.len() as u64;
        self.pending[window] = Some(log_probs);
        let chunk = plan.windows()[window].chunk;
        self.missing[chunk] -= 1;
        if self.missing[chunk] == 0 {
            let all = &mut self.pending[plan.of_chunk(chunk)];
            let results: Vec<Vec<f32>> = all.iter_mut().filter_map(Option::take).collect();
            self.rows[chunk] = plan.rows(chunk, &chunks[chunk], &results);
        }
    }
}

/// What the threads share.
struct Work<'a> {
    model: &'a Model,
    plan: &'a Plan,
    chunks: Vec<TokenizedChunk<'a>>,
    end_of_text: Option<u32>,
    /// Windows that are not scored yet.
    batches: Vec<Vec<usize>>,
    /// Position in `batches` that is claimed next.
    next: AtomicUsize,
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
    context: &'a StageContext<'a>,
}

impl Work<'_> {
    fn run(&self) -> Result<(), LmError> {
        let threads = self.context.threads.min(self.model.feeders());
        let threads = threads.clamp(1, self.batches.len().max(1));
        let mut results = Vec::new();
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| self.work())).collect();
            results.push(self.work());
            for other in others {
                let result = other.join();
                results.push(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        results.into_iter().collect()
    }

    /// Claims and scores batches until none is left or a thread fails. What was asked for is recorded
    /// even when the run is interrupted.
    fn work(&self) -> Result<(), LmError> {
        let mut under_way = VecDeque::new();
        let mut result = Ok(());
        while result.is_ok() && !self.stop.load(Ordering::Relaxed) {
            let Some(batch) = self.batches.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            result = self.score(batch, &mut under_way);
        }
        for (batch, submitted) in under_way {
            result = result.and(self.finish(batch, submitted));
        }
        if result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Asks for a batch, and waits for earlier ones so that no more are under way than the model needs.
    fn score<'b>(
        &self,
        batch: &'b [usize],
        under_way: &mut VecDeque<(&'b [usize], Submitted)>,
    ) -> Result<(), LmError> {
        if (self.context.cancelled)() {
            return Err(LmError::Cancelled);
        }
        let sequences: Vec<Sequence> = batch.iter().map(|i| self.sequence(*i)).collect();
        under_way.push_back((batch, self.model.submit(&sequences)?));
        if under_way.len() > self.model.ahead()
            && let Some((batch, submitted)) = under_way.pop_front()
        {
            self.finish(batch, submitted)?;
        }
        Ok(())
    }

    fn finish(&self, batch: &[usize], submitted: Submitted) -> Result<(), LmError> {
        for (window, log_probs) in batch.iter().zip(submitted.wait()?) {
            self.record(*window, log_probs)?;
        }
        Ok(())
    }

    fn sequence(&self, window: usize) -> Sequence {
        let window: &Window = &self.plan.windows()[window];
        Sequence {
            ids: window.ids(&self.chunks[window.chunk], self.end_of_text),
            first: window.context(),
        }
    }

    fn record(&self, window: usize, log_probs: Vec<f32>) -> Result<(), LmError> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(journal) = &mut ledger.journal {
            journal.append(window, &log_probs)?;
        }
        ledger.add(self.plan, &self.chunks, window, log_probs);
        let (done, total) = (ledger.done, ledger.total);
        (self.context.progress)(done, total, "tokens");
        Ok(())
    }
}
