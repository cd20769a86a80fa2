/// Tokens that a model sees at once, and which of them it scores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids, at most as many as the context has positions.
    pub ids: Vec<u32>,
    /// The first id that is scored, given all ids before it; 1 at least, since nothing can be said
    /// of a token without context.
    pub first: usize,
}

impl Sequence {
    /// A sequence of which everything but the first id is scored.
    pub fn whole(ids: &[u32]) -> Self {
        Self {
            ids: ids.to_vec(),
            first: 1,
        }
    }

    /// The ids that are scored.
    pub fn targets(&self) -> &[u32] {
        self.ids.get(self.first.max(1)..).unwrap_or_default()
    }
}
