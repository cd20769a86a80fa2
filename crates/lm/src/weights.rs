//! Weights from the files of a model, checked against the shapes that the config asks for.
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

mod torch;

/// How a format is named, whole and in shards, and how its files are read.
struct Format {
    single: &'static str,
    index: &'static str,
    read: fn(&[u8]) -> Result<Places, String>,
}

/// The formats that a model may have its weights in, the preferred one first.
const FORMATS: [Format; 2] = [
    Format {
        single: "model.safetensors",
        index: "model.safetensors.index.json",
        read: safetensors,
    },
    Format {
        single: "pytorch_model.bin",
        index: "pytorch_model.bin.index.json",
        read: torch::tensors,
    },
];
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
pub(crate) struct Shards {
    format: &'static Format,
    files: Vec<(String, Arc<Mmap>)>,
}

impl Shards {
    /// Opens `model.safetensors`, or the files that `model.safetensors.index.json` names; without
    /// either the same of `pytorch_model.bin`.
    pub(crate) fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        let has = |name: &str| files.contains_key(name);
        let format = FORMATS
            .iter()
            .find(|format| has(format.single) || has(format.index))
            .ok_or_else(|| missing(FORMATS[0].single, files))?;
        let names = match files.get(format.index) {
            Some(path) if !has(format.single) => indexed(format.index, path)?,
            _ => BTreeSet::from([format.single.to_owned()]),
        };
        let open = |name: String| match files.get(&name) {
            Some(path) => Ok((name, Arc::new(map(path)?))),
            None => {
                let reason = format!("it is named in `{}` but is not there", format.index);
                Err(LmError::weights(&name, reason))
            }
        };
        let files = names.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { format, files })
    }

    /// Reads every header.
    pub(crate) fn tensors(&self) -> Result<Tensors<'_>, LmError> {
        let mut found = BTreeMap::new();
        for (file, map) in &self.files {
            let places = (self.format.read)(map);
            let places = places.map_err(|reason| LmError::weights(file, reason))?;
            let places = places.into_iter();
            found.extend(places.map(|(name, place)| (name, Found { file, map, place })));
        }
        let first_file = self.files.first();
        Ok(Tensors {
            found,
            first_file: first_file.map_or(self.format.single, |(name, _)| name),
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

fn indexed(name: &str, path: &Path) -> Result<BTreeSet<String>, LmError> {
    let text = fs_err::read(path).map_err(|e| LmError::io(path, e))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|e| LmError::bad_file(name, path, e.to_string()))?;
    Ok(index.weight_map.into_values().collect())
}

/// The name and place of every tensor of a safetensors file.
fn safetensors(bytes: &[u8]) -> Result<Places, String> {
    let parsed = SafeTensors::deserialize(bytes).map_err(|e| damage(bytes, &e.to_string()))?;
    let tensors = parsed.tensors().into_iter();
    let place = |(name, view): (String, TensorView<'_>)| {
        let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
        let place = Place {
            bytes: start..start + view.data().len(),
            shape: view.shape().to_vec(),
            stored: stored(view.dtype()),
        };
        (name, place)
    };
    Ok(tensors.map(place).collect())
}

fn stored(dtype: Dtype) -> Result<Stored, String> {
    match dtype {
        Dtype::F16 => Ok(Stored::F16),
        Dtype::BF16 => Ok(Stored::Bf16),
        Dtype::F32 => Ok(Stored::F32),
        other => Err(format!("has dtype {other:?}, expected F16, BF16 or F32")),
    }
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

/// Where a tensor's elements lie in its file, one after the other.
struct Place {
    bytes: Range<usize>,
    shape: Vec<usize>,
    /// How they are stored, or why they can't be read.
    stored: Result<Stored, String>,
}

/// Every tensor of a file: its name and place.
type Places = Vec<(String, Place)>;

/// A tensor in its file.
struct Found<'a> {
    file: &'a str,
    map: &'a Arc<Mmap>,
    place: Place,
}

impl Found<'_> {
    /// Where its elements lie in the file, and how.
    fn place(&self, name: &str) -> Result<(Range<usize>, Stored), LmError> {
        match &self.place.stored {
            Ok(stored) => Ok((self.place.bytes.clone(), *stored)),
            Err(reason) => {
                let reason = format!("tensor `{name}` {reason}");
                Err(LmError::weights(self.file, reason))
            }
        }
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
        self.found.contains_key(name)
    }

    /// Takes tensor `name`, which must have exactly this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Found<'a>, LmError> {
        let Some(found) = self.found.remove(name) else {
            let reason = format!("tensor `{name}` of shape {shape:?} is missing");
            return Err(LmError::weights(self.first_file, reason));
        };
        let other = found.place.shape.as_slice();
        if other != shape {
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
