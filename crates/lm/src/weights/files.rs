//! Which of a model's files hold its weights and its config.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use serde_json::Value;

use super::gguf::GgufFile;
use super::tensors::{Found, Tensors};
use super::{Places, safetensors, torch};
use crate::keys::{self, Keys};
use crate::{LmError, pointer};

const CONFIG: &str = "config.json";
const GGUF: &str = ".gguf";

/// What PEFT writes, and Transformers applies to the weights beside it.
const ADAPTER: [&str; 3] = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
];

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
        if let Some(name) = ADAPTER.into_iter().find(|name| has(name)) {
            return Err(LmError::weights(
                name,
                "it belongs to an adapter, which would change the weights, and none is applied here: merge the \
                 adapter into the weights first, or take it out of the source",
            ));
        }
        let mut formats = FORMATS.iter();
        let format = formats.find(|format| has(format.single) || has(format.index));
        let mut single = files.iter().filter(|(name, _)| name.ends_with(GGUF));
        match (format, single.next(), single.next()) {
            (Some(format), ..) => Ok(Self::Plain(Shards::open(format, files)?)),
            (None, Some((name, path)), None) => {
                Ok(Self::Gguf(GgufFile::open(name, map(name, path)?)?))
            }
            (None, Some((first, _)), Some((second, _))) => Err(LmError::weights(
                first,
                format!("`{second}` is beside it: expected one {GGUF} file, with all of the model"),
            )),
            (None, None, _) => Err(missing(FORMATS[0].single, files)),
        }
    }

    /// The keys of the model's config as Hugging Face's config.json has them, but those to ignore; behind
    /// the name of the file.
    pub(crate) fn config(&self, ignore: &BTreeSet<String>) -> Result<(&str, Keys), LmError> {
        match self {
            Self::Plain(Shards { config, .. }) => match json(CONFIG, config)? {
                Value::Object(map) => Ok((CONFIG, Keys::new(map, ignore))),
                _ => Err(LmError::bad_file(CONFIG, "it is not a dictionary")),
            },
            Self::Gguf(file) => Ok((file.name(), file.config(ignore)?)),
        }
    }

    /// Every tensor but those to ignore, by its name in Hugging Face's files.
    pub(crate) fn tensors(&self, ignore: &BTreeSet<String>) -> Result<Tensors<'_>, LmError> {
        match self {
            Self::Plain(shards) => shards.tensors(ignore),
            Self::Gguf(file) => file.tensors(ignore),
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
            Some(path) => {
                let map = map(&name, path)?;
                Ok((name, Arc::new(map)))
            }
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

    fn tensors(&self, ignore: &BTreeSet<String>) -> Result<Tensors<'_>, LmError> {
        let mut found: BTreeMap<String, Found<'_>> = BTreeMap::new();
        for (file, map) in &self.files {
            let places = (self.format.read)(map);
            for (name, place) in places.map_err(|reason| LmError::weights(file, reason))? {
                if let Some(other) = found.get(&name) {
                    let other = other.file;
                    let reason = format!("tensor `{name}` is in `{other}`, too, expected it once");
                    return Err(LmError::weights(file, reason));
                }
                let tensor = Found {
                    file,
                    map,
                    place,
                    paired_heads: None,
                };
                found.insert(name, tensor);
            }
        }
        let first = self.files.first();
        let first = first.map_or(self.format.single, |(name, _)| name);
        Ok(Tensors::new(found, first, ignore))
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

/// The files that an index names.
fn indexed(name: &str, path: &Path) -> Result<BTreeSet<String>, LmError> {
    let index = json(name, path)?;
    let places = index.get("weight_map").and_then(Value::as_object);
    let places = places.filter(|places| !places.is_empty());
    let bad = || {
        LmError::bad_file(
            name,
            "`weight_map` names no files, expected one for each tensor",
        )
    };
    let files = places.ok_or_else(bad)?.values();
    files
        .map(|file| file.as_str().map(str::to_owned).ok_or_else(bad))
        .collect()
}

fn json(name: &str, path: &Path) -> Result<Value, LmError> {
    let text = std::fs::read(path).map_err(|e| LmError::unreadable(name, "weights", e))?;
    let value = pointer::refuse(&text).and_then(|()| keys::parse(&text));
    value.map_err(|reason| LmError::bad_file(name, reason))
}

#[expect(unsafe_code, reason = "memory mapping")]
fn map(name: &str, path: &Path) -> Result<Mmap, LmError> {
    let unreadable = |e| LmError::unreadable(name, "weights", e);
    let file = File::open(path).map_err(unreadable)?;
    // SAFETY: files in the cache are written once and only ever replaced by rename, so the mapped
    // file does not change while it is mapped.
    let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
    pointer::refuse(&map).map_err(|reason| LmError::weights(name, reason))?;
    Ok(map)
}
