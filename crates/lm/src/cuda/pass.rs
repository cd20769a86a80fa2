//! The steps of one batch.

use super::budget::STEP;
use super::device::{Arg, DeviceError, Kernel, Launch, Memory, Product, TENSOR_SIZES, View};
use super::forward::{LOGIT_ROWS, OnCard, Shape, Space};
use super::layers::{CardLayer, CardNorm, THREADS};
use super::packed::Packed;
use crate::Dtype;

/// One batch on its way.
pub(super) struct Pass<'a> {
    pub(super) card: &'a OnCard,
    pub(super) space: &'a Space,
    pub(super) packed: &'a Packed,
    /// Lines of products: those beyond the tokens hold anything and are not looked at.
    pub(super) rows: usize,
}

impl Pass<'_> {
    pub(super) fn layers(&self) -> Result<(), DeviceError> {
        let (shape, tokens) = (&self.card.shape, self.packed.tokens);
        let args = [
            self.space.x.arg(),
            self.card.weights.embedding.arg(),
            self.words(self.packed.at.ids),
            Shape::int(shape.width),
        ];
        self.launch(Kernel::Embed, [tokens, 1], 128, &args)?;
        for layer in &self.card.weights.layers {
            self.layer(layer)?;
        }
        Ok(())
    }

    fn layer(&self, layer: &CardLayer) -> Result<(), DeviceError> {
        let (d, f) = (self.card.shape.width, self.card.shape.inner);
        let [first, second] = [&self.space.normed[0], &self.space.normed[1]];
        let (to_attention, to_feed_forward) = (&layer.attention_norm, &layer.feed_forward_norm);
        if self.card.shape.parallel {
            let norms = [(to_attention, first), (to_feed_forward, second)];
            self.norm(&layer.pending[0], None, self.packed.tokens, &norms)?;
        } else {
            self.norm(
                &layer.pending[0],
                None,
                self.packed.tokens,
                &[(to_attention, first)],
            )?;
        }
        self.attention(layer)?;
        if !self.card.shape.parallel {
            self.back(layer, 0, d)?;
            self.norm(
                &layer.pending[1],
                None,
                self.packed.tokens,
                &[(to_feed_forward, second)],
            )?;
        }
        self.feed_forward(layer)?;
        if self.card.shape.parallel {
            self.back(layer, 0, d + f)
        } else {
            self.back(layer, d, f)
        }
    }

    /// Norms of the residual stream, of all rows or of those that are wanted.
    fn norm(
        &self,
        pending: &Memory,
        rows: Option<Arg>,
        count: usize,
        norms: &[(&CardNorm, &Memory)],
    ) -> Result<(), DeviceError> {
        let shape = &self.card.shape;
        let mut args = vec![
            self.space.x.arg(),
            pending.arg(),
            rows.unwrap_or(Arg::Address(0)),
            Shape::int(count),
            Shape::int(shape.width),
            Arg::Float(shape.eps),
        ];
        for (norm, out) in norms {
            args.extend([norm.weight.arg(), norm.bias.arg(), out.arg()]);
        }
        args.resize(12, Arg::Address(0));
        self.launch(
            Kernel::LayerNorm,
            [count.div_ceil(THREADS / 32), 1],
            THREADS,
            &args,
        )
    }

    /// From the first normed rows to the first columns of the branches.
    fn attention(&self, layer: &CardLayer) -> Result<(), DeviceError> {
        let (shape, space) = (&self.card.shape, self.space);
        let d = shape.width;
        self.card.device.multiply(&Product {
            rows: self.rows,
            inner: d,
            width: 3 * d,
            x: space.normed[0].view(d),
            weight: layer.query_key_value.view(d),
            bias: Some(layer.query_key_value_bias.address()),
            out: space.query_key_value.view(3 * d),
            wide: false,
            add: false,
        })?;
        self.rotary()?;
        // The exponentials are of base 2.
        let scale = std::f32::consts::LOG2_E / (shape.size as f32).sqrt();
        let mut args = vec![space.branches.arg(), space.query_key_value.arg()];
        let stride = Shape::int(d + shape.inner);
        if shape.dtype == Dtype::F32 || !TENSOR_SIZES.contains(&shape.size) {
            let [rows, heads, size] = [self.packed.tokens, shape.heads, shape.size].map(Shape::int);
            let positions = self.words(self.packed.at.positions);
            args.extend([positions, rows, heads, size, stride, Arg::Float(scale)]);
            let grid = [self.packed.tokens.div_ceil(4), shape.heads];
            return self.launch(Kernel::AttentionPlain, grid, 128, &args);
        }
        let tiles = self.words(self.packed.at.tiles);
        args.extend([tiles, Shape::int(shape.heads), stride, Arg::Float(scale)]);
        let grid = [self.packed.tiles, shape.heads];
        self.launch(Kernel::Attention(shape.size), grid, 128, &args)
    }

    fn rotary(&self) -> Result<(), DeviceError> {
        let shape = &self.card.shape;
        let pairs = self.packed.tokens * shape.heads * 2 * shape.half;
        if pairs == 0 {
            return Ok(());
        }
        let args = [
            self.space.query_key_value.arg(),
            self.card.weights.cosines.arg(),
            self.card.weights.sines.arg(),
            self.words(self.packed.at.positions),
            Shape::int(self.packed.tokens),
            Shape::int(shape.heads),
            Shape::int(shape.size),
            Shape::int(shape.half),
        ];
        self.launch(Kernel::Rotary, [pairs.div_ceil(THREADS), 1], THREADS, &args)
    }

    /// From the second normed rows to the other columns of the branches.
    fn feed_forward(&self, layer: &CardLayer) -> Result<(), DeviceError> {
        let (shape, space) = (&self.card.shape, self.space);
        let (d, f) = (shape.width, shape.inner);
        let out = self.branches(d);
        self.card.device.multiply(&Product {
            rows: self.rows,
            inner: d,
            width: f,
            x: space.normed[1].view(d),
            weight: layer.up.view(d),
            bias: None,
            out,
            wide: false,
            add: false,
        })?;
        let args = [
            Arg::Address(out.address),
            layer.up_bias.arg(),
            Shape::int(self.packed.tokens),
            Shape::int(f),
            Shape::int(d + f),
            Shape::int(usize::from(shape.tanh_form)),
        ];
        let groups = self.packed.tokens * (f / 8);
        self.launch(
            Kernel::BiasGelu,
            [groups.div_ceil(THREADS), 1],
            THREADS,
            &args,
        )
    }

    /// Adds what columns `first`.. of the branches come to to the residual stream.
    fn back(&self, layer: &CardLayer, first: usize, count: usize) -> Result<(), DeviceError> {
        let (shape, space) = (&self.card.shape, self.space);
        let stride = shape.width + shape.inner;
        let weight = layer.back.address() + (first * shape.dtype.bytes()) as u64;
        self.card.device.multiply(&Product {
            rows: self.rows,
            inner: count,
            width: shape.width,
            x: self.branches(first),
            weight: View {
                address: weight,
                stride,
            },
            bias: None,
            out: space.x.view(shape.width),
            wide: true,
            add: true,
        })
    }

    /// The last norm and the output layer of the wanted rows, block by block.
    pub(super) fn head(&self) -> Result<(), DeviceError> {
        let (weights, wanted) = (&self.card.weights, self.packed.wanted);
        let rows = self.words(self.packed.at.wanted);
        let norm = (&weights.final_norm, &self.space.normed[0]);
        self.norm(&weights.pending, Some(rows), wanted, &[norm])?;
        for start in (0..wanted).step_by(LOGIT_ROWS) {
            self.head_rows(start, LOGIT_ROWS.min(wanted - start))?;
        }
        let (out, totals, picked) = (
            &self.space.log_probs,
            &self.space.totals,
            &self.space.picked,
        );
        let args = [out.arg(), totals.arg(), picked.arg(), Shape::int(wanted)];
        self.launch(
            Kernel::FinishLogProbs,
            [wanted.div_ceil(THREADS), 1],
            THREADS,
            &args,
        )
    }

    fn head_rows(&self, start: usize, count: usize) -> Result<(), DeviceError> {
        let (shape, space) = (&self.card.shape, self.space);
        let (d, bytes, stride) = (shape.width, shape.dtype.bytes(), shape.columns());
        let output = self
            .card
            .weights
            .output
            .as_ref()
            .unwrap_or(&self.card.weights.embedding);
        let at = |memory: &Memory, bytes: usize| memory.address() + bytes as u64;
        for first in (0..shape.vocabulary).step_by(stride) {
            let width = stride.min(shape.vocabulary - first);
            self.card.device.multiply(&Product {
                rows: count.next_multiple_of(STEP),
                inner: d,
                width,
                x: View {
                    address: at(&space.normed[0], start * d * bytes),
                    stride: d,
                },
                weight: View {
                    address: at(output, first * d * bytes),
                    stride: d,
                },
                bias: None,
                out: space.logits.view(stride),
                wide: true,
                add: false,
            })?;
            let args = [
                space.logits.arg(),
                self.words(self.packed.at.targets + start),
                Arg::Address(at(&space.totals, 8 * start)),
                Arg::Address(at(&space.picked, 4 * start)),
                Shape::int(width),
                Shape::int(stride),
                Shape::int(first),
            ];
            self.launch(Kernel::AddLogits, [count, 1], 256, &args)?;
        }
        Ok(())
    }

    /// The branches from column `first` on.
    fn branches(&self, first: usize) -> View {
        let shape = &self.card.shape;
        View {
            address: self.space.branches.address() + (first * shape.dtype.bytes()) as u64,
            stride: shape.width + shape.inner,
        }
    }

    /// Part of what came from the host.
    fn words(&self, at: usize) -> Arg {
        Arg::Address(self.space.words.address() + 4 * at as u64)
    }

    fn launch(
        &self,
        kernel: Kernel,
        grid: [usize; 2],
        threads: usize,
        args: &[Arg],
    ) -> Result<(), DeviceError> {
        self.card.device.launch(&Launch {
            kernel,
            grid,
            threads,
            shared: kernel.shared(self.card.shape.dtype.bytes()),
            args,
        })
    }
}
