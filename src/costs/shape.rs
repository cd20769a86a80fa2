use serde::Deserialize;

/// The sizes of a GPT-NeoX model, by the names in its config.json.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Shape {
    hidden_size: u64,
    num_hidden_layers: u64,
    intermediate_size: u64,
    vocab_size: u64,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl Shape {
    /// Reads a config.json; none of another architecture.
    pub(super) fn read(config: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(config).ok()?;
        let is_known = value["architectures"] == serde_json::json!(["GPTNeoXForCausalLM"]);
        is_known.then(|| serde_json::from_value(value).ok())?
    }

    /// Weights and biases outside the embedding matrices.
    pub(super) fn non_embedding(&self) -> u64 {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let attention = (3 * d * d + 3 * d) + (d * d + d);
        let feed_forward = (d * f + f) + (f * d + d);
        let norms = 4 * d;
        self.num_hidden_layers * (attention + feed_forward + norms) + 2 * d
    }

    /// All weights and biases.
    pub(super) fn total(&self) -> u64 {
        let matrices = if self.tie_word_embeddings { 1 } else { 2 };
        self.non_embedding() + matrices * self.vocab_size * self.hidden_size
    }

    /// Multiplications and additions for a token with so many before it: every weight but the input
    /// embedding once, and in each layer a score and a weighted value of every token before it.
    pub(super) fn operations(&self, before: f64) -> f64 {
        let weights = self.non_embedding() + self.vocab_size * self.hidden_size;
        let attention = 2 * self.num_hidden_layers * self.hidden_size;
        2.0 * (weights as f64 + attention as f64 * before)
    }

    /// Bytes of intermediate values in f32 for `tokens` at once: the residual stream, what is
    /// normalised and what is attended to, and the widest layer.
    pub(super) fn workspace(&self, tokens: u64) -> u64 {
        let widest = self.intermediate_size.max(3 * self.hidden_size);
        4 * tokens * (3 * self.hidden_size + widest)
    }
}
