//! What has to be scored for a set of protocols.

use std::ops::Range;

use cpipe_data::scores::ChunkScore;
use cpipe_data::tokens::{TokenSet, TokenizedChunk};

use super::account;
use super::layout::{Layout, Window};
use super::named::Protocol;
use crate::{LmError, Sequence};

/// What a plan has to know of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// Positions that the model was built for.
    pub context: usize,
    /// Rows of its output matrix.
    pub vocabulary: u64,
}

impl ModelShape {
    /// Whether the model can take a sequence.
    pub(crate) fn check(self, sequence: &Sequence) -> Result<(), LmError> {
        let (n, context, rows) = (sequence.ids.len(), self.context, self.vocabulary);
        if n > context {
            let reason = format!("{n} tokens exceed the context of {context}");
            return Err(LmError::Tokens(reason));
        }
        match sequence.ids.iter().find(|id| u64::from(**id) >= rows) {
            None => Ok(()),
            Some(id) => {
                let reason = format!("token {id} is outside the model's vocabulary of {rows}");
                Err(LmError::Tokens(reason))
            }
        }
    }
}

/// The windows that a set of protocols needs, each once.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    protocols: Vec<Protocol>,
    layouts: Vec<Layout>,
    windows: Vec<Window>,
    /// Windows of each chunk under each layout: chunk by chunk, layouts in order.
    groups: Vec<Range<usize>>,
    shape: ModelShape,
    /// n / (n - lost) over all chunks.
    scale: f64,
}

impl Plan {
    /// Lays the windows of `protocols` over `tokens`.
    ///
    /// # Errors
    /// When a protocol needs an end-of-text token and the tokenizer has none, or windows that are
    /// longer than the model's context, or when the model does not have a token.
    pub fn new(
        protocols: &[Protocol],
        tokens: &TokenSet,
        shape: ModelShape,
    ) -> Result<Self, LmError> {
        check_ids(protocols, tokens, shape)?;
        let mut layouts: Vec<Layout> = Vec::new();
        for protocol in protocols {
            let layout = Layout::from(protocol.rules());
            check(protocol.name(), layout, tokens, shape)?;
            if !layouts.contains(&layout) {
                layouts.push(layout);
            }
        }
        let (mut windows, mut groups) = (Vec::new(), Vec::new());
        for (chunk, tokenized) in tokens.iter().enumerate() {
            for layout in &layouts {
                let laid = layout.windows(chunk, tokenized.ids.len(), shape.context);
                let start = windows.len();
                windows.extend(laid.map_err(LmError::Tokens)?);
                groups.push(start..windows.len());
            }
        }
        Ok(Self {
            protocols: protocols.to_vec(),
            layouts,
            windows,
            groups,
            shape,
            scale: scale(tokens),
        })
    }

    /// The windows, which can be scored in any order. Those of a chunk stand together, in chunk order.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The windows of chunk number `chunk`.
    pub fn of_chunk(&self, chunk: usize) -> Range<usize> {
        let layouts = self.layouts.len();
        match &self.groups[chunk * layouts..(chunk + 1) * layouts] {
            [first, .., last] => first.start..last.end,
            [only] => only.clone(),
            [] => 0..0,
        }
    }

    /// The rows of a chunk, one per protocol in the given order, from the natural log-probabilities
    /// of the scored tokens of each window of [`Self::of_chunk`].
    ///
    /// # Panics
    /// When there are not as many results as the chunk has windows.
    pub fn rows(
        &self,
        index: usize,
        chunk: &TokenizedChunk<'_>,
        log_probs: &[Vec<f32>],
    ) -> Vec<ChunkScore> {
        let all = self.of_chunk(index);
        assert_eq!(log_probs.len(), all.len());
        let row = |protocol: &Protocol| {
            let layout = Layout::from(protocol.rules());
            let place = self.layouts.iter().position(|l| *l == layout);
            let place = place.expect("every protocol's layout was laid");
            let group = self.groups[index * self.layouts.len() + place].clone();
            let parts = group.map(|i| (&self.windows[i], log_probs[i - all.start].as_slice()));
            account::row(protocol, index, chunk, parts, self.shape, self.scale)
        };
        self.protocols.iter().map(row).collect()
    }
}

/// Refuses tokens that the model does not have.
fn check_ids(protocols: &[Protocol], tokens: &TokenSet, shape: ModelShape) -> Result<(), LmError> {
    let mut layouts = protocols.iter().map(|p| Layout::from(p.rules()));
    let is_prefixed = layouts.any(Layout::is_prefixed);
    let end = tokens.header().end_of_text.filter(|_| is_prefixed);
    let ids = tokens.iter().flat_map(|chunk| chunk.ids.iter().copied());
    let foreign = ids.chain(end).find(|id| u64::from(*id) >= shape.vocabulary);
    foreign.map_or(Ok(()), |id| {
        let (entries, rows) = (tokens.header().vocabulary, shape.vocabulary);
        Err(LmError::Tokens(format!(
            "token {id} is outside the model's vocabulary of {rows}: check that the tokenizer, which has {entries} \
             entries, is the model's"
        )))
    })
}

fn check(name: &str, layout: Layout, tokens: &TokenSet, shape: ModelShape) -> Result<(), LmError> {
    let fail = |reason| LmError::Tokens(format!("protocol `{name}`: {reason}"));
    if layout.is_prefixed() && tokens.header().end_of_text.is_none() {
        return Err(fail(no_end_of_text(tokens)));
    }
    layout.windows(0, 0, shape.context).map(drop).map_err(fail)
}

/// Which token a protocol asks for in vain, and those that there are.
fn no_end_of_text(tokens: &TokenSet) -> String {
    let start = "it starts with the end-of-text token, and the tokenizer has no";
    let Some(missing) = &tokens.header().no_end_of_text else {
        return format!("{start} such token: set `end_of_text` of the stage `tokenize`");
    };
    let named = &missing.named;
    let special = &missing.special;
    if special.is_empty() {
        return format!(
            "{start} `{named}`, which `end_of_text` of the stage `tokenize` names, nor any special token: score by a \
             protocol with `first_token: free`"
        );
    }
    let shown = special.iter().take(SHOWN).map(|token| format!("`{token}`"));
    let shown: Vec<String> = shown.collect();
    let rest = match special.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{start} `{named}`: set `end_of_text` of the stage `tokenize` to one of its special tokens, {}{rest}",
        shown.join(", ")
    )
}

/// Special tokens that a message lists at most.
const SHOWN: usize = 12;

fn scale(tokens: &TokenSet) -> f64 {
    let chunks = &tokens.header().chunks;
    let raw: f64 = chunks.iter().map(|c| 8.0 * f64::from(c.raw_bytes)).sum();
    let lost: f64 = chunks.iter().map(|c| f64::from(c.lost_bits)).sum();
    raw / (raw - lost)
}
