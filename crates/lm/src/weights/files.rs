//! Which of a model's files hold its weights and its config.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use serde::Deserialize;

use super::gguf::GgufFile;
use super::tensors::{Found, Tensors};
use super::{Places, safetensors, torch};
use crate::LmError;

const CONFIG: &str = "config.json";
const GGUF: &str = ".gguf";

/// How a format is named, whole and in shards, and how its files are read.
pub(crate) struct Format {
    single: &'static str,
    index: &'static str,
    read: fn(&[u8]) -> Result<Places, String>,
}

/// The formats with config.json beside them, the preferred one first.
const FORMATS: [Format; 2] = [
    Format {
        single: "model.safetensors",
        index: "model.safetensors.index.json",
        read: safetensors::tensors,
    },
    Format {
        single: "pytorch_model.bin",
        index: "pytorch_model.bin.index.json",
        read: torch::tensors,
    },
];

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The memory-mapped weight files of a model.
pub(crate) enum Weights {
    /// One file, or shards.
    Plain(Shards),
    /// One file that holds the config, too.
    Gguf(GgufFile),
}

/// Weight files of a format.
pub(crate) struct Shards {
    config: PathBuf,
    format: &'static Format,
    /// Name → content.
    files: Vec<(String, Arc<Mmap>)>,
}

impl Weights {
    /// Opens `model.safetensors`, or the files that `model.safetensors.index.json` names, or without
    /// either the same of `pytorch_model.bin`, with `config.json` beside them; or the only `.gguf`.
    pub(crate) fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        let has = |name: &str| files.contains_key(name);
        let mut formats = FORMATS.iter();
        let format = formats.find(|format| has(format.single) || has(format.index));
        let mut single = files.iter().filter(|(name, _)| name.ends_with(GGUF));
        match (format, single.next(), single.next()) {
            (Some(format), ..) => Ok(Self::Plain(Shards::open(format, files)?)),
            (None, Some((name, path)), None) => {
                Ok(Self::Gguf(GgufFile::open(name, path, map(path)?)?))
            }
            (None, Some((first, _)), Some((second, _))) => Err(LmError::weights(
                first,
                format!("`{second}` is beside it: expected one {GGUF} file, with all of the model"),
            )),
            (None, None, _) => Err(missing(FORMATS[0].single, files)),
        }
    }

    /// The model's config as Hugging Face's config.json has it, behind the name and path of its file.
    pub(crate) fn config(&self) -> Result<(&str, &Path, Vec<u8>), LmError> {
        match self {
            Self::Plain(Shards { config, .. }) => {
                let text = fs_err::read(config).map_err(|e| LmError::io(config, e))?;
                Ok((CONFIG, config, text))
            }
            Self::Gguf(file) => Ok((file.name(), file.path(), file.config()?)),
        }
    }

    /// Every tensor by its name in Hugging Face's files.
    pub(crate) fn tensors(&self) -> Result<Tensors<'_>, LmError> {
        match self {
            Self::Plain(shards) => shards.tensors(),
            Self::Gguf(file) => Ok(Tensors::new(file.tensors()?, file.name())),
        }
    }
}

impl Shards {
    fn open(format: &'static Format, files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        let config = files.get(CONFIG).ok_or_else(|| missing(CONFIG, files))?;
        let names = match files.get(format.index) {
            Some(path) if !files.contains_key(format.single) => indexed(format.index, path)?,
            _ => BTreeSet::from([format.single.to_owned()]),
        };
        let open = |name: String| match files.get(&name) {
            Some(path) => Ok((name, Arc::new(map(path)?))),
            None => {
                let reason = format!("it is named in `{}` but is not there", format.index);
                Err(LmError::weights(&name, reason))
            }
        };
        Ok(Self {
            config: config.clone(),
            format,
            files: names.into_iter().map(open).collect::<Result<_, _>>()?,
        })
    }

    fn tensors(&self) -> Result<Tensors<'_>, LmError> {
        let mut found = BTreeMap::new();
        for (file, map) in &self.files {
            let places = (self.format.read)(map);
            let places = places.map_err(|reason| LmError::weights(file, reason))?;
            found.extend(places.into_iter().map(|(name, place)| {
                let found = Found {
                    file,
                    map,
                    place,
                    paired_heads: None,
                };
                (name, found)
            }));
        }
        let first = self.files.first();
        Ok(Tensors::new(
            found,
            first.map_or(self.format.single, |(name, _)| name),
        ))
    }
}

/// The error for a file that a model's folder lacks.
fn missing(file: &'static str, files: &BTreeMap<String, PathBuf>) -> LmError {
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

#[expect(unsafe_code, reason = "memory mapping")]
fn map(path: &Path) -> Result<Mmap, LmError> {
    let file = fs_err::File::open(path).map_err(|e| LmError::io(path, e))?;
    // SAFETY: files in the cache are written once and only ever replaced by rename, so the mapped
    // file does not change while it is mapped.
    unsafe { Mmap::map(file.file()) }.map_err(|e| LmError::io(path, e))
}
