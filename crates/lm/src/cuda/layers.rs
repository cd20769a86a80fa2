//! A model's weights on a card, in the compute format.

use std::sync::Arc;

use super::device::{Arg, Device, DeviceError, Kernel, Launch, Memory};
use crate::Dtype;
use crate::gpt_neox::{GptNeox, Layer, Norm};
use crate::kernels::{Matrix, Stored};

/// Bytes of a weights file that are on their way at once.
const PIECE: usize = 16 << 20;
/// Threads of a block of kernels that have a thread for each number.
pub(crate) const THREADS: usize = 256;

/// The two f32 vectors of a norm.
pub(crate) struct CardNorm {
    pub(crate) weight: Memory,
    pub(crate) bias: Memory,
}

/// A layer's weights.
pub(crate) struct CardLayer {
    pub(crate) attention_norm: CardNorm,
    pub(crate) feed_forward_norm: CardNorm,
    /// `[3 d, d]`.
    pub(crate) query_key_value: Memory,
    pub(crate) query_key_value_bias: Memory,
    /// `[f, d]`.
    pub(crate) up: Memory,
    /// In f32.
    pub(crate) up_bias: Memory,
    /// The two matrices that write to the residual stream side by side, `[d, d + f]`: what attention
    /// mixed and the feed-forward layer lie side by side, too, and one product adds both.
    pub(crate) back: Memory,
    /// Biases of all writes to the stream before this layer's attention and before its feed-forward
    /// layer. They are never added to the stream: whoever reads it adds them.
    pub(crate) pending: [Memory; 2],
}

/// All weights.
pub(crate) struct CardWeights {
    pub(crate) embedding: Memory,
    pub(crate) layers: Vec<CardLayer>,
    pub(crate) final_norm: CardNorm,
    pub(crate) pending: Memory,
    /// None where it is the embedding.
    pub(crate) output: Option<Memory>,
    /// `[positions, half]`.
    pub(crate) cosines: Memory,
    pub(crate) sines: Memory,
}

/// Brings weights to a card.
pub(crate) struct Upload {
    device: Arc<dyn Device>,
    dtype: Dtype,
    /// Where a piece lies before it is converted.
    piece: Memory,
}

impl Upload {
    pub(crate) fn new(device: &Arc<dyn Device>, dtype: Dtype) -> Result<Self, DeviceError> {
        Ok(Self {
            device: Arc::clone(device),
            dtype,
            piece: Memory::new(device, PIECE)?,
        })
    }

    /// Brings a whole model.
    pub(crate) fn weights(
        &self,
        model: &GptNeox,
        output: &Matrix,
    ) -> Result<CardWeights, DeviceError> {
        let mut pending = vec![0.0; model.config.hidden_size];
        let parallel = model.config.use_parallel_residual;
        let layer = |layer| self.layer(layer, parallel, &mut pending);
        let layers = model.layers.iter().map(layer).collect::<Result<_, _>>()?;
        let tied = model.embedding.is_same(output);
        Ok(CardWeights {
            embedding: self.matrix(&model.embedding)?,
            layers,
            final_norm: self.norm(&model.final_norm)?,
            pending: self.vector(&pending)?,
            output: if tied {
                None
            } else {
                Some(self.matrix(output)?)
            },
            cosines: self.vector(model.rotary.cosines())?,
            sines: self.vector(model.rotary.sines())?,
        })
    }

    fn layer(
        &self,
        layer: &Layer,
        parallel: bool,
        pending: &mut [f32],
    ) -> Result<CardLayer, DeviceError> {
        let (dense, down) = (&layer.dense, &layer.down);
        let (d, f) = (dense.weight.columns(), down.weight.columns());
        let back = Memory::new(&self.device, d * (d + f) * self.dtype.bytes())?;
        self.place(&dense.weight, &back, 0, d + f)?;
        self.place(&down.weight, &back, d, d + f)?;
        let before = self.vector(pending)?;
        let mut between = pending.to_vec();
        add(pending, &dense.bias);
        if !parallel {
            between.copy_from_slice(pending);
        }
        add(pending, &down.bias);
        Ok(CardLayer {
            attention_norm: self.norm(&layer.attention_norm)?,
            feed_forward_norm: self.norm(&layer.feed_forward_norm)?,
            query_key_value: self.matrix(&layer.query_key_value.weight)?,
            query_key_value_bias: self.elements(&layer.query_key_value.bias)?,
            up: self.matrix(&layer.up.weight)?,
            up_bias: self.vector(&layer.up.bias)?,
            back,
            pending: [before, self.vector(&between)?],
        })
    }

    fn norm(&self, norm: &Norm) -> Result<CardNorm, DeviceError> {
        Ok(CardNorm {
            weight: self.vector(&norm.weight)?,
            bias: self.vector(&norm.bias)?,
        })
    }

    /// A vector in f32.
    fn vector(&self, values: &[f32]) -> Result<Memory, DeviceError> {
        Memory::of(&self.device, values)
    }

    /// A vector in the compute format.
    fn elements(&self, values: &[f32]) -> Result<Memory, DeviceError> {
        let memory = Memory::new(&self.device, values.len() * self.dtype.bytes())?;
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.convert(
            &bytes,
            Stored::F32,
            [1, values.len()],
            memory.address(),
            values.len(),
        )?;
        Ok(memory)
    }

    fn matrix(&self, matrix: &Matrix) -> Result<Memory, DeviceError> {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let memory = Memory::new(&self.device, rows * columns * self.dtype.bytes())?;
        self.place(matrix, &memory, 0, columns)?;
        Ok(memory)
    }

    /// Brings a matrix into columns `first`.. of one whose lines stand `stride` apart.
    fn place(
        &self,
        matrix: &Matrix,
        to: &Memory,
        first: usize,
        stride: usize,
    ) -> Result<(), DeviceError> {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let lines = (PIECE / (4 * columns)).max(1);
        for start in (0..rows).step_by(lines) {
            let count = lines.min(rows - start);
            let to = to.address() + ((start * stride + first) * self.dtype.bytes()) as u64;
            let read;
            let (stored, bytes) = match matrix.stored_rows(start..start + count) {
                Some(stored) => stored,
                None => {
                    read = read_rows(matrix, start, count);
                    (Stored::F32, &read[..])
                }
            };
            self.convert(bytes, stored, [count, columns], to, stride)?;
        }
        Ok(())
    }

    /// Copies stored numbers to the card and converts them there.
    fn convert(
        &self,
        bytes: &[u8],
        stored: Stored,
        [rows, columns]: [usize; 2],
        to: u64,
        stride: usize,
    ) -> Result<(), DeviceError> {
        if bytes.len() > self.piece.bytes() {
            let reason = format!("a row of {columns} weights is too long for a card");
            return Err(DeviceError::Failed(reason));
        }
        self.device.write(self.piece.address(), bytes)?;
        let kind = match stored {
            Stored::F32 => 0,
            Stored::Bf16 => 1,
            Stored::F16 => 2,
            Stored::Blocks(_) => {
                let reason = "a card is given blocks of weights as f32";
                return Err(DeviceError::Failed(reason.into()));
            }
        };
        let int = |n: usize| Arg::Int(n as i32);
        self.device.launch(&Launch {
            kernel: Kernel::Convert,
            grid: [(rows * columns).div_ceil(THREADS), 1],
            threads: THREADS,
            shared: 0,
            args: &[
                Arg::Address(to),
                self.piece.arg(),
                Arg::Int(kind),
                int(rows),
                int(columns),
                int(stride),
            ],
        })
    }
}

fn add(sum: &mut [f32], bias: &[f32]) {
    for (sum, b) in sum.iter_mut().zip(bias) {
        *sum += b;
    }
}

/// Rows of a matrix that does not lie in its file row by row, as f32 bytes.
fn read_rows(matrix: &Matrix, start: usize, count: usize) -> Vec<u8> {
    let mut row = vec![0.0; matrix.columns()];
    let mut bytes = Vec::with_capacity(4 * count * row.len());
    for i in start..start + count {
        matrix.read_row(i, &mut row);
        bytes.extend(row.iter().flat_map(|x| x.to_le_bytes()));
    }
    bytes
}
