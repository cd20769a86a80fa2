//! Weights from safetensors files, checked against the shapes that the config asks for.
//!
//! Matrices stay where they are, memory-mapped in their stored format; vectors are upcast to f32.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::LmError;
use crate::kernels::{Matrix, Stored};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Buffers that older versions of Transformers saved beside the weights.
const LEGACY: [&str; 5] = [
    ".attention.bias",
    ".attention.masked_bias",
    ".attn.bias",
    ".attn.masked_bias",
    ".rotary_emb.inv_freq",
];

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The memory-mapped weight files of a model: name → content.
pub(crate) struct Shards(Vec<(String, Arc<Mmap>)>);

impl Shards {
    /// Opens `model.safetensors`, or the files that `model.safetensors.index.json` names.
    pub(crate) fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        let names = match (files.contains_key(SINGLE), files.get(INDEX)) {
            (true, _) => BTreeSet::from([SINGLE.to_owned()]),
            (false, Some(path)) => indexed(path)?,
            (false, None) => return Err(missing(SINGLE, files)),
        };
        let open = |name: String| match files.get(&name) {
            Some(path) => Ok((name, Arc::new(map(path)?))),
            None => {
                let reason = format!("it is named in `{INDEX}` but is not there");
                Err(LmError::weights(&name, reason))
            }
        };
        names
            .into_iter()
            .map(open)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Reads every header.
    pub(crate) fn tensors(&self) -> Result<Tensors<'_>, LmError> {
        let mut views = BTreeMap::new();
        for (file, bytes) in &self.0 {
            let parsed = SafeTensors::deserialize(bytes)
                .map_err(|e| LmError::weights(file, damage(bytes, &e.to_string())))?;
            for (name, view) in parsed.tensors() {
                let found = Found {
                    file,
                    map: bytes,
                    view,
                };
                views.insert(name, found);
            }
        }
        Ok(Tensors {
            views,
            first_file: self.0.first().map_or(SINGLE, |(name, _)| name),
            elements: 0,
        })
    }
}

/// The error for a file that a model's folder lacks.
pub(crate) fn missing(file: &'static str, files: &BTreeMap<String, PathBuf>) -> LmError {
    let found: Vec<&str> = files.keys().map(String::as_str).collect();
    LmError::MissingFile {
        file,
        role: "weights".into(),
        found: if found.is_empty() {
            "nothing".into()
        } else {
            found.join(", ")
        },
    }
}

fn indexed(path: &Path) -> Result<BTreeSet<String>, LmError> {
    let text = fs_err::read(path).map_err(|e| LmError::io(path, e))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|e| LmError::bad_file(INDEX, path, e.to_string()))?;
    Ok(index.weight_map.into_values().collect())
}

/// Says what is wrong with a file, with the two numbers that tell a cut file from a foreign one.
fn damage(bytes: &[u8], reason: &str) -> String {
    let size = bytes.len();
    match bytes.first_chunk::<8>() {
        Some(length) => {
            let header = u64::from_le_bytes(*length);
            format!(
                "not a whole safetensors file: {reason} (header of {header} bytes, file of {size})"
            )
        }
        None => format!("not a whole safetensors file: {size} bytes"),
    }
}

#[expect(unsafe_code, reason = "memory mapping")]
fn map(path: &Path) -> Result<Mmap, LmError> {
    let file = fs_err::File::open(path).map_err(|e| LmError::io(path, e))?;
    // SAFETY: files in the cache are written once and only ever replaced by rename, so the mapped
    // file does not change while it is mapped.
    unsafe { Mmap::map(file.file()) }.map_err(|e| LmError::io(path, e))
}

/// A tensor in its file.
struct Found<'a> {
    file: &'a str,
    map: &'a Arc<Mmap>,
    view: TensorView<'a>,
}

impl Found<'_> {
    /// Where its elements lie in the file, and how.
    fn place(&self, name: &str) -> Result<(Range<usize>, Stored), LmError> {
        let stored = match self.view.dtype() {
            Dtype::F16 => Stored::F16,
            Dtype::BF16 => Stored::Bf16,
            Dtype::F32 => Stored::F32,
            other => {
                let reason =
                    format!("tensor `{name}` has dtype {other:?}, expected F16, BF16 or F32");
                return Err(LmError::weights(self.file, reason));
            }
        };
        let bytes = self.view.data();
        let start = bytes.as_ptr().addr() - self.map.as_ptr().addr();
        Ok((start..start + bytes.len(), stored))
    }
}

/// The tensors of a model that have not been taken yet.
pub(crate) struct Tensors<'a> {
    views: BTreeMap<String, Found<'a>>,
    first_file: &'a str,
    /// Elements of all tensors taken so far.
    elements: u64,
}

impl<'a> Tensors<'a> {
    /// Takes vector `name` of `width` elements, as f32.
    pub(crate) fn vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>, LmError> {
        self.values(name, &[width])
    }

    /// Takes matrix `name` of this shape.
    pub(crate) fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix, LmError> {
        let found = self.take(name, &shape)?;
        let (bytes, stored) = found.place(name)?;
        Ok(Matrix::new(Arc::clone(found.map), bytes, stored, shape))
    }

    /// Takes matrix `name`, which is stored with a row for each input, as one of this shape.
    pub(crate) fn matrix_by_input(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Matrix, LmError> {
        let found = self.take(name, &[columns, rows])?;
        let (bytes, stored) = found.place(name)?;
        let matrix = Matrix::new(Arc::clone(found.map), bytes, stored, [rows, columns]);
        Ok(matrix.by_input())
    }

    /// Takes tensor `name` of any number of dimensions, as f32.
    pub(crate) fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        let found = self.take(name, shape)?;
        let (bytes, stored) = found.place(name)?;
        let mut values = vec![0.0; shape.iter().product()];
        stored.read(&found.map[bytes], &mut values);
        Ok(values)
    }

    /// Whether tensor `name` is there and not taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.views.contains_key(name)
    }

    /// Takes tensor `name`, which must have exactly this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Found<'a>, LmError> {
        let Some(found) = self.views.remove(name) else {
            let reason = format!("tensor `{name}` of shape {shape:?} is missing");
            return Err(LmError::weights(self.first_file, reason));
        };
        if found.view.shape() != shape {
            let other = found.view.shape();
            let reason = format!("tensor `{name}` has shape {other:?}, expected {shape:?}");
            return Err(LmError::weights(found.file, reason));
        }
        self.elements += shape.iter().product::<usize>() as u64;
        Ok(found)
    }

    /// Drops tensor `name` if it is there.
    pub(crate) fn discard(&mut self, name: &str) {
        self.views.remove(name);
    }

    /// Elements of all tensors taken so far.
    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }

    /// Refuses tensors that nobody took and that are no legacy buffers.
    pub(crate) fn finish(self) -> Result<(), LmError> {
        let is_legacy = |name: &str| LEGACY.iter().any(|end| name.ends_with(end));
        match self.views.iter().find(|(name, _)| !is_legacy(name)) {
            None => Ok(()),
            Some((name, found)) => {
                let reason = format!("tensor `{name}` has no place in this model's config");
                Err(LmError::weights(found.file, reason))
            }
        }
    }
}
