//! GGUF files of models of the Llama type: config and tensors in one, often quantised.

mod config;
mod header;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memmap2::Mmap;

use self::config::Translated;
use self::header::{Header, Tensor};
use super::tensors::{Found, Tensors};
use super::{Place, Places};
use crate::LmError;
use crate::kernels::{Blocks, Stored};
use crate::keys::Keys;

/// Tensors that scale the rotation of each pair of elements: Llama 3.1, and the two halves of `LongRoPE`.
const ROTATIONS: [&str; 3] = [
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
];
const SCALED: &str = "scales the rotation of positions, as in Llama 3.1 and later (`rope_type` llama3 in config.json), \
                      and that is not computed here yet: take a model without it";

/// A GGUF file with its header read.
pub(crate) struct GgufFile {
    name: String,
    map: Arc<Mmap>,
    header: Header,
}

impl GgufFile {
    /// Reads the header of a mapped file.
    pub(super) fn open(name: &str, map: Mmap) -> Result<Self, LmError> {
        let header = Header::parse(&map).map_err(|reason| LmError::weights(name, reason))?;
        Ok(Self {
            name: name.to_owned(),
            map: Arc::new(map),
            header,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn translate(&self, ignore: &BTreeSet<String>) -> Result<Translated, LmError> {
        config::translate(&self.header, ignore).map_err(|reason| self.bad(&reason))
    }

    /// The config in the words of Hugging Face.
    pub(super) fn config(&self, ignore: &BTreeSet<String>) -> Result<Keys, LmError> {
        self.translate(ignore).map(|translated| translated.keys)
    }

    /// Every tensor but those to ignore, by its name in Hugging Face's files.
    pub(super) fn tensors(&self, ignore: &BTreeSet<String>) -> Result<Tensors<'_>, LmError> {
        let tensors = Tensors::new(self.found(ignore)?, &self.name, &BTreeSet::new());
        Ok(tensors.spelled(names::in_file))
    }

    fn found(&self, ignore: &BTreeSet<String>) -> Result<BTreeMap<String, Found<'_>>, LmError> {
        let heads = self.translate(ignore)?.heads;
        self.check_overlaps()?;
        let mut found = BTreeMap::new();
        let tensors = self.header.tensors.iter();
        for tensor in tensors.filter(|tensor| !ignore.contains(&tensor.name)) {
            let told = |reason: String| self.bad(&format!("tensor `{}` {reason}", tensor.name));
            if ROTATIONS.contains(&tensor.name.as_str()) {
                return Err(told(SCALED.into()));
            }
            let place = self.place(tensor).map_err(told)?;
            let places = match names::of_experts(&tensor.name) {
                Some(names) => split(&place, &names).map_err(told)?,
                None => vec![(names::of(&tensor.name, self.header.architecture()), place)],
            };
            let paired_heads = names::paired(&tensor.name, self.header.architecture(), heads);
            for (name, place) in places {
                let tensor = Found {
                    file: &self.name,
                    map: &self.map,
                    place,
                    paired_heads,
                };
                if found.insert(name.clone(), tensor).is_some() {
                    let name = names::in_file(&name);
                    return Err(self.bad(&format!("tensor `{name}` is there twice")));
                }
            }
        }
        Ok(found)
    }

    /// Refuses tensors that share bytes, which no writer makes.
    fn check_overlaps(&self) -> Result<(), LmError> {
        let places = self.header.tensors.iter();
        let mut places: Vec<(Place, &str)> = places
            .filter_map(|tensor| Some((self.place(tensor).ok()?, tensor.name.as_str())))
            .filter(|(place, _)| place.stored.is_ok())
            .collect();
        places.sort_by_key(|(place, _)| (place.bytes.start, place.bytes.end));
        let shared = places
            .iter()
            .zip(places.iter().skip(1))
            .find(|((a, _), (b, _))| b.bytes.start < a.bytes.end);
        shared.map_or(Ok(()), |((_, a), (_, b))| {
            Err(self.bad(&format!(
                "tensors `{a}` and `{b}` overlap, expected each to have its own bytes"
            )))
        })
    }

    fn place(&self, tensor: &Tensor) -> Result<Place, String> {
        let stored = stored(tensor.kind);
        if tensor.shape.contains(&0) {
            let shape = &tensor.shape;
            return Err(format!(
                "has shape {shape:?}, expected at least one element"
            ));
        }
        let known = stored.clone().unwrap_or(Stored::F32);
        let columns = *tensor.shape.last().ok_or("has no dimensions")?;
        let mut rows = tensor.shape.iter().rev().skip(1);
        let rows = rows.try_fold(1_usize, |n, d| n.checked_mul(*d));
        let row = known
            .bytes(columns)
            .ok_or_else(|| format!("has rows of {columns}: no whole number of blocks"))?;
        let length = rows.and_then(|rows| rows.checked_mul(row));
        let range = length.and_then(|length| Some(tensor.start..tensor.start.checked_add(length)?));
        let bytes = range
            .filter(|range| range.end <= self.map.len())
            .ok_or_else(|| format!("ends beyond the file of {} bytes", self.map.len()))?;
        Ok(Place {
            bytes,
            shape: tensor.shape.clone(),
            stored,
        })
    }

    fn bad(&self, reason: &str) -> LmError {
        LmError::weights(&self.name, reason)
    }
}

/// The experts of a layer, which lie in one tensor one after the other.
fn split(whole: &Place, names: &dyn Fn(usize) -> String) -> Result<Places, String> {
    let [experts, rows, columns] = whole.shape[..] else {
        let shape = &whole.shape;
        return Err(format!("has shape {shape:?}, expected three dimensions"));
    };
    let length = whole.bytes.len() / experts.max(1);
    let one = |i: usize| {
        let start = whole.bytes.start + i * length;
        let expert = Place {
            bytes: start..start + length,
            shape: vec![rows, columns],
            stored: whole.stored.clone(),
        };
        (names(i), expert)
    };
    Ok((0..experts).map(one).collect())
}

/// The number format by its id in ggml.h.
fn stored(kind: u32) -> Result<Stored, String> {
    Ok(match kind {
        0 => Stored::F32,
        1 => Stored::F16,
        30 => Stored::Bf16,
        2 => Stored::Blocks(Blocks::Q4_0),
        3 => Stored::Blocks(Blocks::Q4_1),
        6 => Stored::Blocks(Blocks::Q5_0),
        7 => Stored::Blocks(Blocks::Q5_1),
        8 => Stored::Blocks(Blocks::Q8_0),
        12 => Stored::Blocks(Blocks::Q4_K),
        13 => Stored::Blocks(Blocks::Q5_K),
        14 => Stored::Blocks(Blocks::Q6_K),
        other => {
            return Err(format!(
                "has GGML type {other}, expected F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K"
            ));
        }
    })
}
