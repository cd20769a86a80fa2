//! The tensors of a model by name, taken one by one by the architecture that knows their shapes.

use std::collections::{BTreeMap, BTreeSet};
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
    /// What the files call a tensor.
    spell: fn(&str) -> String,
    /// Elements of all tensors taken so far.
    elements: u64,
}

impl<'a> Tensors<'a> {
    /// The tensors of a model without those to ignore; `first_file` is where one is missed.
    pub(super) fn new(
        mut found: BTreeMap<String, Found<'a>>,
        first_file: &'a str,
        ignore: &BTreeSet<String>,
    ) -> Self {
        found.retain(|name, _| !ignore.contains(name));
        Self {
            found,
            first_file,
            spell: str::to_owned,
            elements: 0,
        }
    }

    /// The same, where the files have other names for some.
    pub(super) fn spelled(self, spell: fn(&str) -> String) -> Self {
        Self { spell, ..self }
    }

    /// Takes vector `name` of `width` elements, as f32.
    pub(crate) fn vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>, LmError> {
        self.values(name, &[width])
    }

    /// Takes matrix `name` of this shape.
    pub(crate) fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix, LmError> {
        let found = self.take(name, &shape)?;
        found.matrix(&(self.spell)(name), shape)
    }

    /// Takes matrix `name`, which is stored with a row for each input, as one of this shape.
    pub(crate) fn matrix_by_input(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Matrix, LmError> {
        let found = self.take(name, &[columns, rows])?;
        Ok(found
            .matrix(&(self.spell)(name), [rows, columns])?
            .by_input())
    }

    /// Takes tensor `name` of any number of dimensions, as f32.
    pub(crate) fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        let found = self.take(name, shape)?;
        let mut values = vec![0.0; shape.iter().product()];
        found
            .stored(&(self.spell)(name))?
            .read(&found.map[found.place.bytes], 0, &mut values);
        Ok(values)
    }

    /// Whether tensor `name` is there and not taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// An error about the files.
    pub(crate) fn refuse(&self, reason: String) -> LmError {
        LmError::weights(self.first_file, reason)
    }

    /// Takes matrix `name`, if it is there, without counting its elements.
    pub(crate) fn spare_matrix(
        &mut self,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Option<Matrix>, LmError> {
        if !self.has(name) {
            return Ok(None);
        }
        let found = self.remove(name, &shape)?;
        found.matrix(&(self.spell)(name), shape).map(Some)
    }

    /// Takes tensor `name`, which must have exactly this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Found<'a>, LmError> {
        let found = self.remove(name, shape)?;
        self.elements += shape.iter().product::<usize>() as u64;
        Ok(found)
    }

    fn remove(&mut self, name: &str, shape: &[usize]) -> Result<Found<'a>, LmError> {
        let Some(found) = self.found.remove(name) else {
            let name = (self.spell)(name);
            return Err(self.refuse(format!("tensor `{name}` of shape {shape:?} is missing")));
        };
        if found.place.shape == shape {
            return Ok(found);
        }
        let (name, other) = ((self.spell)(name), found.place.shape);
        let reason = format!("tensor `{name}` has shape {other:?}, expected {shape:?}");
        Err(LmError::weights(found.file, reason))
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
                let name = (self.spell)(name);
                let reason = format!(
                    "tensor `{name}` has no place in this model's config: `ignore: [{name}]` of the stage \
                     `score` scores the model without it"
                );
                Err(LmError::weights(found.file, reason))
            }
        }
    }
}
