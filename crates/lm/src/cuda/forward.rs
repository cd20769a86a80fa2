//! The forward pass of GPT-NeoX over a packed batch, as launches on a [`Device`].
//!
//! The residual stream is f32; what goes into a product is in the compute format and its sums are f32.
//! Between a batch's ids and its log-probabilities nothing comes back to the host. NaN and infinity
//! stay in the stream, so that the log-probability of a row that overflowed is NaN.

use std::sync::{Arc, Mutex, PoisonError};

use super::budget::{self, STEP};
use super::device::{Arg, Device, DeviceError, Memory};
use super::layers::{CardWeights, Upload};
use super::packed::Packed;
use super::pass::Pass;
use crate::Dtype;
use crate::batch::{Arrival, Rows};
use crate::gpt_neox::GptNeox;
use crate::kernels::{Activation, Matrix};

/// Rows and columns of the logits that lie in memory at once: they stay in a large card's L2.
pub(super) const LOGIT_ROWS: usize = 2048;
const LOGIT_COLUMNS: usize = 4096;
/// The largest head that [`Kernel::AttentionPlain`] takes.
const MOST_HEAD_SIZE: usize = 256;

/// Sizes of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) dtype: Dtype,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) size: usize,
    /// Half of the rotated numbers of a head.
    pub(super) half: usize,
    /// Numbers of the feed-forward layer.
    pub(super) inner: usize,
    pub(super) vocabulary: usize,
    pub(super) eps: f32,
    pub(super) parallel: bool,
    pub(super) tanh_form: bool,
}

impl Shape {
    fn of(model: &GptNeox, output: &Matrix, dtype: Dtype) -> Result<Self, DeviceError> {
        let config = &model.config;
        let shape = Self {
            dtype,
            width: config.hidden_size,
            heads: config.num_attention_heads,
            size: config.head_size(),
            half: config.rotary_dims() / 2,
            inner: config.intermediate_size,
            vocabulary: output.rows(),
            eps: model.final_norm.eps,
            parallel: config.use_parallel_residual,
            tanh_form: matches!(model.activation, Activation::GeluTanh),
        };
        let refuse = |reason: String| Err(DeviceError::Failed(reason));
        if !shape.width.is_multiple_of(8) || !shape.inner.is_multiple_of(8) {
            let (d, f) = (shape.width, shape.inner);
            return refuse(format!(
                "hidden_size {d} and intermediate_size {f} must be multiples of 8 on a card: use --device cpu"
            ));
        }
        if shape.size > MOST_HEAD_SIZE {
            let size = shape.size;
            return refuse(format!(
                "heads of {size} are too large for a card: use --device cpu"
            ));
        }
        Ok(shape)
    }

    /// Columns of a block of logits: all blocks but the last have as many.
    pub(super) fn columns(&self) -> usize {
        let blocks = self.vocabulary.div_ceil(LOGIT_COLUMNS);
        self.vocabulary.div_ceil(blocks).next_multiple_of(8)
    }

    /// Bytes of [`Space`] for so many tokens.
    fn space(&self, tokens: usize) -> usize {
        let stream = 4 * self.width;
        let formatted = self.dtype.bytes() * (6 * self.width + self.inner);
        let words = 4 * 7;
        tokens * (stream + formatted + words + 16) + 4 * LOGIT_ROWS * self.columns()
    }

    pub(super) fn int(n: usize) -> Arg {
        Arg::Int(n as i32)
    }
}

/// Intermediate values, reused by all layers and batches.
pub(super) struct Space {
    /// What comes from the host.
    pub(super) words: Memory,
    /// The residual stream in f32.
    pub(super) x: Memory,
    /// After the norms.
    pub(super) normed: [Memory; 2],
    pub(super) query_key_value: Memory,
    /// What attention mixed, and the feed-forward layer, side by side.
    pub(super) branches: Memory,
    pub(super) logits: Memory,
    pub(super) totals: Memory,
    pub(super) picked: Memory,
    pub(super) log_probs: Memory,
}

impl Space {
    fn new(device: &Arc<dyn Device>, shape: &Shape, tokens: usize) -> Result<Self, DeviceError> {
        let new = |bytes: usize| Memory::new(device, bytes);
        let formatted = |width: usize| new(tokens * width * shape.dtype.bytes());
        Ok(Self {
            words: new(4 * Packed::most_words(tokens))?,
            x: new(4 * tokens * shape.width)?,
            normed: [formatted(shape.width)?, formatted(shape.width)?],
            query_key_value: formatted(3 * shape.width)?,
            branches: formatted(shape.width + shape.inner)?,
            logits: new(4 * LOGIT_ROWS * shape.columns())?,
            totals: new(8 * tokens)?,
            picked: new(4 * tokens)?,
            log_probs: new(4 * tokens)?,
        })
    }
}

/// A GPT-NeoX model on a card.
pub(crate) struct OnCard {
    pub(super) device: Arc<dyn Device>,
    pub(super) shape: Shape,
    pub(super) weights: CardWeights,
    /// Whoever asks for a batch has it while it asks.
    space: Mutex<Space>,
    pub(super) tokens: usize,
}

impl OnCard {
    /// Brings a model to a card and takes room for batches there.
    pub(crate) fn new(
        device: &Arc<dyn Device>,
        model: &GptNeox,
        output: &Matrix,
        dtype: Dtype,
    ) -> Result<Self, DeviceError> {
        let shape = Shape::of(model, output, dtype)?;
        let upload = Upload::new(device, dtype);
        let weights = upload.and_then(|upload| upload.weights(model, output));
        let weights = weights.map_err(|e| explain(e, "the model's weights"))?;
        device.mark("upload");
        let context = model.config.max_position_embeddings;
        let bytes = |tokens| shape.space(tokens);
        let take = |tokens| Space::new(device, &shape, tokens);
        let (tokens, space) = budget::reserve(context, device.free_memory()?, bytes, take)?;
        Ok(Self {
            device: Arc::clone(device),
            shape,
            weights,
            space: Mutex::new(space),
            tokens,
        })
    }

    /// Tokens that a batch may have.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Asks for the log-probabilities of a batch's targets, which has one at least.
    pub(crate) fn submit(&self, rows: &Rows) -> Result<Arrival, DeviceError> {
        // Values of an earlier batch are never read, so a panic leaves nothing wrong behind.
        let space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = Packed::new(rows);
        if packed.tokens > self.tokens {
            let (n, most) = (packed.tokens, self.tokens);
            return Err(DeviceError::Failed(format!(
                "a batch of {n} tokens, more than {most}"
            )));
        }
        self.device.mark("idle");
        let words: Vec<u8> = packed.words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.device.write(space.words.address(), &words)?;
        let pass = Pass {
            card: self,
            space: &space,
            packed: &packed,
            rows: packed.tokens.next_multiple_of(STEP),
        };
        pass.layers()?;
        self.device.mark("forward");
        pass.head()?;
        self.device.mark("output layer");
        let arrival = self.device.read(space.log_probs.address(), packed.wanted);
        self.device.mark("copy back");
        arrival
    }
}

/// What did not fit.
fn explain(error: DeviceError, what: &str) -> DeviceError {
    match error {
        DeviceError::OutOfMemory { .. } => DeviceError::Failed(format!(
            "{what} do not fit into the card's free memory: use dtype bf16 or f16, a larger card, or `--device cpu`"
        )),
        DeviceError::Failed(_) => error,
    }
}
