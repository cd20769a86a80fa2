//! Which of a model's files hold its weights and its config.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use serde::Deserialize;

use super::gguf::GgufFile;
use super::safetensors;
use super::tensors::Tensors;
use crate::LmError;

const CONFIG: &str = "config.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const GGUF: &str = ".gguf";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The memory-mapped weight files of a model.
pub(crate) enum Weights {
    /// Name → content, and the path of config.json.
    Safetensors(Vec<(String, Arc<Mmap>)>, PathBuf),
    /// One file that holds the config, too.
    Gguf(GgufFile),
}

impl Weights {
    /// Opens `model.safetensors`, or the files that `model.safetensors.index.json` names, with
    /// `config.json` beside it; or the only `.gguf`.
    pub(crate) fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, LmError> {
        let has_safetensors = files.contains_key(SINGLE) || files.contains_key(INDEX);
        let mut single = files.iter().filter(|(name, _)| name.ends_with(GGUF));
        match (has_safetensors, single.next(), single.next()) {
            (false, Some((name, path)), None) => {
                Ok(Self::Gguf(GgufFile::open(name, path, map(path)?)?))
            }
            (false, Some((first, _)), Some((second, _))) => Err(LmError::weights(
                first,
                format!("`{second}` is beside it: expected one {GGUF} file, with all of the model"),
            )),
            _ => {
                let config = files.get(CONFIG).ok_or_else(|| missing(CONFIG, files))?;
                Ok(Self::Safetensors(open_safetensors(files)?, config.clone()))
            }
        }
    }

    /// The model's config as Hugging Face's config.json has it, behind the name and path of its file.
    pub(crate) fn config(&self) -> Result<(&str, &Path, Vec<u8>), LmError> {
        match self {
            Self::Safetensors(_, path) => {
                let text = fs_err::read(path).map_err(|e| LmError::io(path, e))?;
                Ok((CONFIG, path, text))
            }
            Self::Gguf(file) => Ok((file.name(), file.path(), file.config()?)),
        }
    }

    /// Every tensor by its name in Hugging Face's files.
    pub(crate) fn tensors(&self) -> Result<Tensors<'_>, LmError> {
        let mut found = BTreeMap::new();
        match self {
            Self::Safetensors(files, _) => {
                for (name, map) in files {
                    safetensors::read(name, map, &mut found)?;
                }
                let first = files.first().map_or(SINGLE, |(name, _)| name);
                Ok(Tensors::new(found, first))
            }
            Self::Gguf(file) => {
                file.read(&mut found)?;
                Ok(Tensors::new(found, file.name()))
            }
        }
    }
}

fn open_safetensors(
    files: &BTreeMap<String, PathBuf>,
) -> Result<Vec<(String, Arc<Mmap>)>, LmError> {
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
    names.into_iter().map(open).collect()
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

fn indexed(path: &Path) -> Result<BTreeSet<String>, LmError> {
    let text = fs_err::read(path).map_err(|e| LmError::io(path, e))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|e| LmError::bad_file(INDEX, path, e.to_string()))?;
    Ok(index.weight_map.into_values().collect())
}

#[expect(unsafe_code, reason = "memory mapping")]
fn map(path: &Path) -> Result<Mmap, LmError> {
    let file = fs_err::File::open(path).map_err(|e| LmError::io(path, e))?;
    // SAFETY: files in the cache are written once and only ever replaced by rename, so the mapped
    // file does not change while it is mapped.
    unsafe { Mmap::map(file.file()) }.map_err(|e| LmError::io(path, e))
}
