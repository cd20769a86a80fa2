//! Weights from safetensors files: checked against the shapes that the config asks for, upcast to f32.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::LmError;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Buffers that older versions of Transformers saved beside the weights.
const LEGACY: [&str; 3] = [
    ".attention.bias",
    ".attention.masked_bias",
    ".rotary_emb.inv_freq",
];

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The memory-mapped weight files of a model: name → content.
pub(super) struct Shards(Vec<(String, Mmap)>);

impl Shards {
    /// Opens `model.safetensors`, or the files that `model.safetensors.index.json` names.
    pub(super) fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        let names = match (files.contains_key(SINGLE), files.get(INDEX)) {
            (true, _) => BTreeSet::from([SINGLE.to_owned()]),
            (false, Some(path)) => indexed(path)?,
            (false, None) => return Err(missing(SINGLE, files)),
        };
        let open = |name: String| match files.get(&name) {
            Some(path) => Ok((name, map(path)?)),
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
    pub(super) fn tensors(&self) -> Result<Tensors<'_>, LmError> {
        let mut views = BTreeMap::new();
        for (file, bytes) in &self.0 {
            let parsed = SafeTensors::deserialize(bytes)
                .map_err(|e| LmError::weights(file, damage(bytes, &e.to_string())))?;
            for (name, view) in parsed.tensors() {
                views.insert(name, (file.as_str(), view));
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
pub(super) fn missing(file: &'static str, files: &BTreeMap<String, PathBuf>) -> LmError {
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

/// The tensors of a model that have not been taken yet.
pub(super) struct Tensors<'a> {
    views: BTreeMap<String, (&'a str, TensorView<'a>)>,
    first_file: &'a str,
    /// Elements of all tensors taken so far.
    elements: u64,
}

impl Tensors<'_> {
    /// Takes tensor `name`, which must have exactly this shape, as f32.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        let Some((file, view)) = self.views.remove(name) else {
            let reason = format!("tensor `{name}` of shape {shape:?} is missing");
            return Err(LmError::weights(self.first_file, reason));
        };
        if view.shape() != shape {
            let found = view.shape();
            let reason = format!("tensor `{name}` has shape {found:?}, expected {shape:?}");
            return Err(LmError::weights(file, reason));
        }
        let values = to_f32(&view).ok_or_else(|| {
            let reason = format!(
                "tensor `{name}` has dtype {:?}, expected F16, BF16 or F32",
                view.dtype()
            );
            LmError::weights(file, reason)
        })?;
        self.elements += values.len() as u64;
        Ok(values)
    }

    /// Takes matrix `name` of `[rows, columns]` and transposes it to `[columns, rows]`.
    pub(super) fn take_transposed(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Vec<f32>, LmError> {
        self.take(name, &[rows, columns])
            .map(|values| transpose(&values, rows, columns))
    }

    /// Drops tensor `name` if it is there.
    pub(super) fn discard(&mut self, name: &str) {
        self.views.remove(name);
    }

    /// Elements of all tensors taken so far.
    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// Refuses tensors that nobody took and that are no legacy buffers.
    pub(super) fn finish(self) -> Result<(), LmError> {
        let is_legacy = |name: &str| LEGACY.iter().any(|end| name.ends_with(end));
        match self.views.iter().find(|(name, _)| !is_legacy(name)) {
            None => Ok(()),
            Some((name, (file, _))) => {
                let reason = format!("tensor `{name}` has no place in this model's config");
                Err(LmError::weights(file, reason))
            }
        }
    }
}

fn to_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    let halves = || bytes.as_chunks::<2>().0.iter();
    match view.dtype() {
        Dtype::F16 => Some(halves().map(|b| f16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::BF16 => Some(halves().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::F32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            Some(words.map(|b| f32::from_le_bytes(*b)).collect())
        }
        _ => None,
    }
}

/// Row-major `[rows, columns]` → row-major `[columns, rows]`.
pub(super) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (r, row) in values.chunks_exact(columns).enumerate() {
        for (c, x) in row.iter().enumerate() {
            out[c * rows + r] = *x;
        }
    }
    out
}
