//! What the forward pass asks of a card.

use std::sync::Arc;

use super::packed::QUERIES;
use crate::batch::Arrival;

/// Why a card did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// Too little memory is free.
    #[error("{bytes} bytes do not fit into the card's memory")]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
    },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// A function of `kernels/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kernel {
    Embed,
    Convert,
    LayerNorm,
    Rotary,
    BiasGelu,
    AttentionPlain,
    /// With tensor cores, for this size of a head.
    Attention(usize),
    AddLogits,
    FinishLogProbs,
}

/// Head sizes that have a kernel with tensor cores.
pub(crate) const TENSOR_SIZES: [usize; 7] = [16, 32, 64, 80, 96, 128, 256];

impl Kernel {
    /// Every kernel that number formats of 16 bits have; f32 lacks those with tensor cores.
    pub(crate) fn all(tensor_cores: bool) -> Vec<Self> {
        let mut all = vec![
            Self::Embed,
            Self::Convert,
            Self::LayerNorm,
            Self::Rotary,
            Self::BiasGelu,
            Self::AttentionPlain,
            Self::AddLogits,
            Self::FinishLogProbs,
        ];
        if tensor_cores {
            all.extend(TENSOR_SIZES.map(Self::Attention));
        }
        all
    }

    /// Its name in the sources.
    pub(crate) fn name(self) -> String {
        let name = match self {
            Self::Embed => "embed",
            Self::Convert => "convert",
            Self::LayerNorm => "layer_norm",
            Self::Rotary => "rotary",
            Self::BiasGelu => "bias_gelu",
            Self::AttentionPlain => "attention_plain",
            Self::Attention(size) => return format!("attention_{size}"),
            Self::AddLogits => "add_logits",
            Self::FinishLogProbs => "finish_log_probs",
        };
        name.to_owned()
    }

    /// Bytes of shared memory that a block is launched with, for elements of `bytes` bytes.
    pub(crate) fn shared(self, bytes: usize) -> usize {
        match self {
            // The queries, and two blocks of keys and of values, of which one is computed with.
            Self::Attention(size) => (QUERIES + 4 * Self::keys(size)) * (size + 8) * bytes,
            _ => 0,
        }
    }

    /// Keys that the tensor kernel for heads of `size` looks at together.
    pub(crate) fn keys(size: usize) -> usize {
        if size > 128 { 32 } else { 64 }
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    /// Of memory on the card; 0 is null.
    Address(u64),
    Int(i32),
    Float(f32),
}

/// Runs a kernel on a grid of blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) kernel: Kernel,
    pub(crate) grid: [usize; 2],
    /// Threads of a block.
    pub(crate) threads: usize,
    /// Bytes of shared memory that a block gets besides what the kernel declares.
    pub(crate) shared: usize,
    pub(crate) args: &'a [Arg],
}

/// `out = x · weightᵀ`, with a bias, or added to what `out` has; all but an f32 `out` and its bias in
/// the compute format, sums in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Product {
    /// Lines of `x` and of `out`.
    pub(crate) rows: usize,
    /// Numbers of a line of `x` and of `weight`.
    pub(crate) inner: usize,
    /// Lines of `weight`, numbers of a line of `out`.
    pub(crate) width: usize,
    pub(crate) x: View,
    pub(crate) weight: View,
    /// Added to every line of an `out` in the compute format.
    pub(crate) bias: Option<u64>,
    pub(crate) out: View,
    /// Whether `out` is f32.
    pub(crate) wide: bool,
    /// Whether `out` keeps what it has and the product is added.
    pub(crate) add: bool,
}

/// Where a matrix begins and how many numbers lie from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct View {
    pub(crate) address: u64,
    pub(crate) stride: usize,
}

/// A card, or what stands for one. Everything is done in the order in which it was asked for, maybe later.
pub(crate) trait Device: Send + Sync {
    /// Takes memory and fills it with zeros.
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError>;

    /// Gives memory back, after all that was asked for before.
    fn free(&self, address: u64, bytes: usize);

    /// Copies bytes to the card. They may change as soon as this returns.
    fn write(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Copies `count` f32 numbers from the card.
    fn read(&self, from: u64, count: usize) -> Result<Arrival, DeviceError>;

    /// Runs a kernel.
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError>;

    /// Computes a matrix product.
    fn multiply(&self, product: &Product) -> Result<(), DeviceError>;

    /// Bytes of memory that are free.
    fn free_memory(&self) -> Result<usize, DeviceError>;

    /// Says that what was asked for since the last mark belongs to this part, for whoever takes times.
    fn mark(&self, _part: &'static str) {}
}

/// Memory on a card.
pub(crate) struct Memory {
    device: Arc<dyn Device>,
    address: u64,
    bytes: usize,
}

impl Memory {
    /// Takes `bytes` bytes of zeros.
    pub(crate) fn new(device: &Arc<dyn Device>, bytes: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            address: device.allocate(bytes)?,
            device: Arc::clone(device),
            bytes,
        })
    }

    /// Takes memory for f32 numbers and copies them there.
    pub(crate) fn of(device: &Arc<dyn Device>, values: &[f32]) -> Result<Self, DeviceError> {
        let memory = Self::new(device, 4 * values.len())?;
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        device.write(memory.address, &bytes)?;
        Ok(memory)
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// As a kernel's argument.
    pub(crate) fn arg(&self) -> Arg {
        Arg::Address(self.address)
    }

    /// As a matrix whose lines stand `stride` numbers apart.
    pub(crate) fn view(&self, stride: usize) -> View {
        View {
            address: self.address,
            stride,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.device.free(self.address, self.bytes);
    }
}
