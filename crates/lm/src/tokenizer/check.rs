//! What a tokenizer.json must not hold: keys that the library would pass over, and settings that make two
//! runs differ.

use std::collections::HashMap;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;
use tokenizers::normalizers::Precompiled;

/// Sections of the file. Of these, `truncation`, `padding` and `post_processor` are read and not used.
const SECTIONS: [&str; 9] = [
    "version",
    "truncation",
    "padding",
    "added_tokens",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
    "model",
];
const ADDED_TOKEN: [&str; 7] = [
    "id",
    "content",
    "single_word",
    "lstrip",
    "rstrip",
    "normalized",
    "special",
];
/// What the library reads of a model, by its type.
const MODELS: [(&str, &[&str]); 4] = [
    (
        "BPE",
        &[
            "type",
            "dropout",
            "unk_token",
            "continuing_subword_prefix",
            "end_of_word_suffix",
            "fuse_unk",
            "byte_fallback",
            "ignore_merges",
            "vocab",
            "merges",
        ],
    ),
    ("Unigram", &["type", "unk_id", "vocab", "byte_fallback"]),
    ("WordLevel", &["type", "vocab", "unk_token"]),
    (
        "WordPiece",
        &[
            "type",
            "unk_token",
            "continuing_subword_prefix",
            "max_input_chars_per_word",
            "vocab",
        ],
    ),
];
/// Keys of older files that the library reads and writes under another name.
const OLDER: [&str; 2] = ["add_prefix_space", "str_rep"];
/// More ids than any vocabulary has; guards tables against a damaged file.
const MOST_IDS: u64 = 1 << 24;

/// Checks what can be told before the library reads the file.
pub(super) fn before(file: &Value) -> Result<(), String> {
    let sections = file
        .as_object()
        .ok_or("not a tokenizer: it is not a dictionary")?;
    refuse_others("", sections, &SECTIONS)?;
    if let Some(model) = sections.get("model").and_then(Value::as_object) {
        check_model(model)?;
    }
    let added = sections.get("added_tokens").and_then(Value::as_array);
    for (i, token) in added.into_iter().flatten().enumerate() {
        if let Some(token) = token.as_object() {
            refuse_others(&format!("added_tokens.{i}."), token, &ADDED_TOKEN)?;
        }
    }
    ["normalizer", "pre_tokenizer", "decoder"]
        .into_iter()
        .try_for_each(|key| {
            sections
                .get(key)
                .map_or(Ok(()), |part| check_part(key, part))
        })
}

fn check_model(model: &Map<String, Value>) -> Result<(), String> {
    let kind = model.get("type").and_then(Value::as_str);
    if let Some((_, known)) = MODELS.iter().find(|(name, _)| Some(*name) == kind) {
        refuse_others("model.", model, known)?;
    }
    if let Some(dropout) = model
        .get("dropout")
        .and_then(Value::as_f64)
        .filter(|p| *p != 0.0)
    {
        return Err(format!(
            "`model.dropout` is {dropout}, so it tokenizes the same text in another way each time, expected null \
             or 0: take it out of a copy of the file"
        ));
    }
    let vocab = model.get("vocab").and_then(Value::as_object);
    let huge = |(_, id): &(&String, &Value)| id.as_u64().is_some_and(|id| id >= MOST_IDS);
    if let Some((token, id)) = vocab.into_iter().flatten().find(huge) {
        return Err(format!(
            "token {token:?} has the id {id}, expected at most {MOST_IDS}"
        ));
    }
    match vocab {
        Some(vocab) => check_ids(vocab).and_then(|()| check_merges(model, vocab)),
        None => Ok(()),
    }
}

/// Refuses two tokens with one id: what it decodes to would be either.
fn check_ids(vocab: &Map<String, Value>) -> Result<(), String> {
    let mut tokens = HashMap::with_capacity(vocab.len());
    for (token, id) in vocab {
        let Some(id) = id.as_u64() else {
            continue;
        };
        if let Some(other) = tokens.insert(id, token) {
            return Err(format!(
                "the tokens {other:?} and {token:?} of `model.vocab` have one id, {id}, expected an id of its own for each"
            ));
        }
    }
    Ok(())
}

/// Refuses merges that make no token of the vocabulary: the library counts on them.
fn check_merges(model: &Map<String, Value>, vocab: &Map<String, Value>) -> Result<(), String> {
    let prefix = model
        .get("continuing_subword_prefix")
        .and_then(Value::as_str);
    let prefix = prefix.unwrap_or_default().len();
    let merges = model.get("merges").and_then(Value::as_array);
    for (i, merge) in merges.into_iter().flatten().enumerate() {
        let pair = match merge {
            Value::String(pair) => pair.split_once(' '),
            Value::Array(pair) => match &pair[..] {
                [Value::String(a), Value::String(b)] => Some((a.as_str(), b.as_str())),
                _ => None,
            },
            _ => None,
        };
        // What is no pair is told by the library.
        let Some((a, b)) = pair.filter(|_| !is_version(merge)) else {
            continue;
        };
        let made = b.get(prefix..).map(|rest| format!("{a}{rest}"));
        if !made.is_some_and(|token| vocab.contains_key(&token)) {
            return Err(format!(
                "`model.merges.{i}` makes a token of {a:?} and {b:?} that the vocabulary does not have"
            ));
        }
    }
    Ok(())
}

/// Whether it is the first line of an older file of merges.
fn is_version(merge: &Value) -> bool {
    merge
        .as_str()
        .is_some_and(|line| line.starts_with("#version"))
}

/// Finds settings on which the library panics.
fn check_part(at: &str, part: &Value) -> Result<(), String> {
    match part {
        Value::Object(map) => {
            let kind = map.get("type").and_then(Value::as_str);
            if kind == Some("Precompiled") {
                let read: Result<Precompiled, _> = serde_json::from_str(&part.to_string());
                read.map_err(|e| format!("`{at}` (Precompiled) is damaged: {e}"))?;
            }
            if kind == Some("FixedLength") && map.get("length") == Some(&0.into()) {
                return Err(format!("`{at}.length` is 0, expected at least 1"));
            }
            map.iter()
                .try_for_each(|(key, part)| check_part(&format!("{at}.{key}"), part))
        }
        Value::Array(parts) => parts.iter().try_for_each(|part| check_part(at, part)),
        _ => Ok(()),
    }
}

/// Refuses keys that are not known; the library reads no file with others in most places.
fn refuse_others(at: &str, map: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(unread(&format!("{at}{key}"))),
    }
}

fn unread(key: &str) -> String {
    format!(
        "the key `{key}` is not known here, so it may change the tokens: take it out of a copy of the file if it \
         does not"
    )
}

/// Checks that the library took what the file says.
pub(super) fn after(file: &Value, tokenizer: &Tokenizer) -> Result<(), String> {
    let written = [
        (
            "normalizer",
            serde_json::to_value(tokenizer.get_normalizer()),
        ),
        (
            "pre_tokenizer",
            serde_json::to_value(tokenizer.get_pre_tokenizer()),
        ),
        ("decoder", serde_json::to_value(tokenizer.get_decoder())),
    ];
    for (key, written) in written {
        let written = written.map_err(|e| e.to_string())?;
        compare(key, &file[key], &written)?;
    }
    check_added(file, tokenizer)
}

/// Refuses keys that the library did not write again.
fn compare(at: &str, given: &Value, written: &Value) -> Result<(), String> {
    match (given, written) {
        (Value::Object(given), Value::Object(written)) => {
            for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
                let at = format!("{at}.{key}");
                match written.get(key) {
                    Some(other) => compare(&at, value, other)?,
                    None if OLDER.contains(&key.as_str()) => {}
                    None => return Err(unread(&at)),
                }
            }
            Ok(())
        }
        (Value::Array(given), Value::Array(written)) => {
            let mut pairs = given.iter().zip(written).enumerate();
            pairs.try_for_each(|(i, (a, b))| compare(&format!("{at}.{i}"), a, b))
        }
        _ => Ok(()),
    }
}

/// The library numbers added tokens itself; the model was trained with the file's numbers.
fn check_added(file: &Value, tokenizer: &Tokenizer) -> Result<(), String> {
    for token in file["added_tokens"].as_array().into_iter().flatten() {
        let (Some(text), Some(id)) = (token["content"].as_str(), token["id"].as_u64()) else {
            continue;
        };
        let found = tokenizer.token_to_id(text);
        if found.map(u64::from) != Some(id) {
            let found = found.map_or_else(|| "none".into(), |id| id.to_string());
            return Err(format!(
                "the added token {text:?} has the id {id} in the file, but {found} by the order of the tokens"
            ));
        }
    }
    Ok(())
}
