//! Windows: which tokens the model is given at once, and which of them it scores.

use std::ops::Range;

use cpipe_data::tokens::TokenizedChunk;

use super::rules::{ContextRule, FirstToken, Rules, Sliding};

/// A way to lay windows over a chunk; all of a protocol that the model has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    first_token: FirstToken,
    context: ContextRule,
}

impl From<Rules> for Layout {
    fn from(rules: Rules) -> Self {
        Self {
            first_token: rules.first_token,
            context: rules.context,
        }
    }
}

/// Tokens that the model sees at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of the chunk.
    pub chunk: usize,
    /// The chunk's tokens in this window.
    pub range: Range<usize>,
    /// Whether end-of-text stands in front.
    pub prefixed: bool,
    /// The chunk's tokens that are scored here.
    pub scored: Range<usize>,
}

impl Window {
    /// What the model is given for this window of `chunk`.
    pub fn ids(&self, chunk: &TokenizedChunk<'_>, end_of_text: Option<u32>) -> Vec<u32> {
        let prefix = end_of_text.filter(|_| self.prefixed);
        let tokens = &chunk.ids[self.range.clone()];
        prefix.into_iter().chain(tokens.iter().copied()).collect()
    }

    /// Ids that stand before the first scored token.
    pub fn context(&self) -> usize {
        usize::from(self.prefixed) + self.scored.start - self.range.start
    }
}

impl Layout {
    pub(super) fn is_prefixed(self) -> bool {
        self.first_token == FirstToken::Prefixed
    }

    /// The windows over chunk number `chunk` of `tokens` tokens, for a model of `context` positions;
    /// at least one.
    ///
    /// # Errors
    /// When a window is longer than the context.
    pub(super) fn windows(
        self,
        chunk: usize,
        tokens: usize,
        context: usize,
    ) -> Result<Vec<Window>, String> {
        let prefix = usize::from(self.is_prefixed());
        let one = |range: Range<usize>| Window {
            chunk,
            prefixed: self.is_prefixed(),
            scored: (range.start + 1 - prefix).min(range.end)..range.end,
            range,
        };
        match self.context {
            ContextRule::Head(length) => Ok(vec![one(0..tokens.min(length).min(context - prefix))]),
            ContextRule::Disjoint => {
                let step = context - prefix;
                let starts = (0..tokens.max(1)).step_by(step);
                Ok(starts.map(|at| one(at..tokens.min(at + step))).collect())
            }
            ContextRule::Sliding(sliding) => {
                let (window, stride) = resolve(sliding, context)?;
                let mut windows = vec![one(0..tokens.min(window - prefix))];
                // The sequence is the prefix and the tokens; a window starts every `stride` of it.
                let mut end = window - prefix;
                while end < tokens {
                    let scored = end..tokens.min(end + stride);
                    end += stride;
                    windows.push(Window {
                        chunk,
                        range: end - window..scored.end,
                        prefixed: false,
                        scored,
                    });
                }
                Ok(windows)
            }
        }
    }
}

fn resolve(sliding: Sliding, context: usize) -> Result<(usize, usize), String> {
    let window = sliding.window.unwrap_or(context);
    if window > context {
        return Err(format!(
            "a window of {window} positions exceeds the model's context of {context}"
        ));
    }
    let stride = sliding.stride.unwrap_or(window / 2);
    if stride >= window {
        return Err(format!(
            "a stride of {stride} leaves no overlap in a window of {window}"
        ));
    }
    Ok((window, stride))
}
