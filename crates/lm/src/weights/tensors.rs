//! The tensors of a model by name, taken one by one by the architecture that knows their shapes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use crate::LmError;
use crate::kernels::{Matrix, Stored};

/// Buffers that older versions of Transformers saved beside the weights.
const LEGACY: [&str; 5] = [
    ".attention.bias",
    ".attention.masked_bias",
    ".attn.bias",
    ".attn.masked_bias",
    ".rotary_emb.inv_freq",
];

/// Where a tensor's elements lie in its file, the last dimension next to each other.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) bytes: Range<usize>,
    pub(super) shape: Vec<usize>,
    /// How they are stored, or why they can't be read.
    pub(super) stored: Result<Stored, String>,
}

/// Every tensor of a file: its name and place.
pub(super) type Places = Vec<(String, Place)>;

/// A tensor in its file.
pub(super) struct Found<'a> {
    pub(super) file: &'a str,
    pub(super) map: &'a Arc<Mmap>,
    pub(super) place: Place,
    /// Heads whose rows stand in pairs, if they do ([`Matrix::with_paired_heads`]).
    pub(super) paired_heads: Option<usize>,
}

impl Found<'_> {
    fn stored(&self, name: &str) -> Result<Stored, LmError> {
        let told = |reason| LmError::weights(self.file, format!("tensor `{name}` {reason}"));
        self.place.stored.clone().map_err(told)
    }

    fn matrix(&self, name: &str, [rows, columns]: [usize; 2]) -> Result<Matrix, LmError> {
        let (stored, bytes) = (self.stored(name)?, self.place.bytes.clone());
        let matrix = Matrix::new(Arc::clone(self.map), bytes, stored, [rows, columns]);
        Ok(match self.paired_heads {
            Some(heads) => matrix.with_paired_heads(heads),
            None => matrix,
        })
    }
}

/// The tensors of a model that have not been taken yet.
pub(crate) struct Tensors<'a> {
    found: BTreeMap<String, Found<'a>>,
    first_file: &'a str,
    /// Elements of all tensors taken so far.
    elements: u64,
}

impl<'a> Tensors<'a> {
    pub(super) fn new(found: BTreeMap<String, Found<'a>>, first_file: &'a str) -> Self {
        Self {
            found,
            first_file,
            elements: 0,
        }
    }

    /// Takes vector `name` of `width` elements, as f32.
    pub(crate) fn vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>, LmError> {
        self.values(name, &[width])
    }

    /// Takes matrix `name` of this shape.
    pub(crate) fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix, LmError> {
        self.take(name, &shape)?.matrix(name, shape)
    }

    /// Takes matrix `name`, which is stored with a row for each input, as one of this shape.
    pub(crate) fn matrix_by_input(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Matrix, LmError> {
        let found = self.take(name, &[columns, rows])?;
        Ok(found.matrix(name, [rows, columns])?.by_input())
    }

    /// Takes tensor `name` of any number of dimensions, as f32.
    pub(crate) fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        let found = self.take(name, shape)?;
        let mut values = vec![0.0; shape.iter().product()];
        found
            .stored(name)?
            .read(&found.map[found.place.bytes], 0, &mut values);
        Ok(values)
    }

    /// Whether tensor `name` is there and not taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// Takes tensor `name`, which must have exactly this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Found<'a>, LmError> {
        let Some(found) = self.found.remove(name) else {
            let reason = format!("tensor `{name}` of shape {shape:?} is missing");
            return Err(LmError::weights(self.first_file, reason));
        };
        if found.place.shape != shape {
            let other = found.place.shape;
            let reason = format!("tensor `{name}` has shape {other:?}, expected {shape:?}");
            return Err(LmError::weights(found.file, reason));
        }
        self.elements += shape.iter().product::<usize>() as u64;
        Ok(found)
    }

    /// Drops tensor `name` if it is there.
    pub(crate) fn discard(&mut self, name: &str) {
        self.found.remove(name);
    }

    /// Elements of all tensors taken so far.
    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }

    /// Refuses tensors that nobody took and that are no legacy buffers.
    pub(crate) fn finish(self) -> Result<(), LmError> {
        let is_legacy = |name: &str| LEGACY.iter().any(|end| name.ends_with(end));
        match self.found.iter().find(|(name, _)| !is_legacy(name)) {
            None => Ok(()),
            Some((name, found)) => {
                let reason = format!("tensor `{name}` has no place in this model's config");
                Err(LmError::weights(found.file, reason))
            }
        }
    }
}
