//! Which part of a tokenizer loses what a chunk says, when its tokens do not give the text back.

use std::collections::BTreeMap;

use serde_json::Value;
use tokenizers::{
    Model, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, Tokenizer,
};

/// Kinds of lost characters that a message lists.
const LISTED: usize = 8;

/// Why `decoded` is not `text`, and what can be done.
pub(super) fn of(tokenizer: &Tokenizer, text: &str, ids: &[u32], decoded: &str) -> String {
    let found = difference(text, decoded);
    let why = absent(tokenizer, text)
        .or_else(|| dropped(tokenizer, text))
        .or_else(|| stripped(tokenizer, text, ids, decoded))
        .unwrap_or_else(|| part(tokenizer, text, ids, decoded));
    format!("decoding its tokens does not give the text back, {found}: {why}")
}

/// Where they differ first.
fn difference(text: &str, decoded: &str) -> String {
    let same = text.chars().zip(decoded.chars());
    let at = same.take_while(|(a, b)| a == b).count();
    let shown = |text: &str| match text.chars().nth(at) {
        Some(character) => format!("{character:?}"),
        None => "the end".into(),
    };
    format!(
        "character {at} is {} instead of {}",
        shown(decoded),
        shown(text)
    )
}

/// Pieces that the model is given, and the characters of the text that each comes from.
fn pieces(tokenizer: &Tokenizer, text: &str) -> Vec<(String, (usize, usize))> {
    let mut pieces = PreTokenizedString::from(text);
    let normalized = pieces.normalize(|part| match tokenizer.get_normalizer() {
        Some(normalizer) => normalizer.normalize(part),
        None => Ok(()),
    });
    let split = match tokenizer.get_pre_tokenizer() {
        Some(splitter) => splitter.pre_tokenize(&mut pieces),
        None => Ok(()),
    };
    if normalized.and(split).is_err() {
        return Vec::new();
    }
    let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Char);
    let owned = splits.into_iter();
    owned
        .map(|(piece, place, _)| (piece.to_owned(), place))
        .collect()
}

/// Characters for which the vocabulary has no token.
fn absent(tokenizer: &Tokenizer, text: &str) -> Option<String> {
    let model = tokenizer.get_model();
    let by_bytes = match model {
        ModelWrapper::BPE(bpe) => bpe.byte_fallback,
        ModelWrapper::Unigram(unigram) => unigram.byte_fallback(),
        // Of words, which have no tokens for their characters.
        ModelWrapper::WordPiece(_) | ModelWrapper::WordLevel(_) => return None,
    };
    let has = |token: &str| model.token_to_id(token).is_some();
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    let mut lost: BTreeMap<String, usize> = BTreeMap::new();
    for (piece, _) in pieces(tokenizer, text) {
        for unit in units(model, &piece) {
            let fallback = || by_bytes && unit.bytes().all(|b| has(&format!("<0x{b:02X}>")));
            let is_known = known.get(&unit).copied();
            let is_known = is_known.unwrap_or_else(|| has(&unit) || fallback());
            known.insert(unit.clone(), is_known);
            if !is_known {
                *lost.entry(unit).or_default() += 1;
            }
        }
    }
    if lost.is_empty() {
        return None;
    }
    let in_bytes = is_byte_level(tokenizer);
    let named = |(unit, count): (&String, &usize)| match byte_of(unit).filter(|_| in_bytes) {
        Some(byte) => format!("byte {byte:#04x} ({count} such characters)"),
        None => format!("{} ({count} such characters)", quoted(unit)),
    };
    let mut list: Vec<String> = lost.iter().take(LISTED).map(named).collect();
    if lost.len() > LISTED {
        list.push(format!("{} more", lost.len() - LISTED));
    }
    Some(format!(
        "the vocabulary has no token for {}; take a `mapping` whose text does not have them, or a tokenizer with a \
         token for every byte",
        list.join(", ")
    ))
}

/// What the model looks up for each character of a piece before it merges any.
fn units(model: &ModelWrapper, piece: &str) -> Vec<String> {
    let (before, behind) = match model {
        ModelWrapper::BPE(bpe) if bpe.ignore_merges && bpe.token_to_id(piece).is_some() => {
            return Vec::new();
        }
        ModelWrapper::BPE(bpe) => (&bpe.continuing_subword_prefix, &bpe.end_of_word_suffix),
        _ => (&None, &None),
    };
    let text = |part: &Option<String>, is_there: bool| {
        let part = part.as_deref().filter(|_| is_there);
        part.unwrap_or_default().to_owned()
    };
    let unit = |(at, character): (usize, char)| {
        let is_last = at + character.len_utf8() == piece.len();
        let (before, behind) = (text(before, at > 0), text(behind, is_last));
        format!("{before}{character}{behind}")
    };
    piece.char_indices().map(unit).collect()
}

/// A character between single quotes, more of them between double ones.
fn quoted(unit: &str) -> String {
    let mut characters = unit.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => format!("{only:?}"),
        _ => format!("{unit:?}"),
    }
}

fn is_byte_level(tokenizer: &Tokenizer) -> bool {
    let parts = settings(tokenizer);
    parts
        .iter()
        .any(|(part, value)| *part != "decoder" && mentions(value, "ByteLevel"))
}

/// The byte for which a character stands in vocabularies of type `ByteLevel`: printable ones stand for
/// themselves, the others are numbered from 256.
fn byte_of(unit: &str) -> Option<u8> {
    let is_printable = |b: &u8| matches!(b, 33..=126 | 161..=172 | 174..);
    let mut characters = unit.chars();
    let code = u32::from(
        characters
            .next()
            .filter(|_| characters.as_str().is_empty())?,
    );
    match u8::try_from(code) {
        Ok(byte) => is_printable(&byte).then_some(byte),
        Err(_) => (0..=u8::MAX)
            .filter(|b| !is_printable(b))
            .nth(code as usize - 256),
    }
}

/// Characters that the pre-tokenizer leaves out.
fn dropped(tokenizer: &Tokenizer, text: &str) -> Option<String> {
    let pieces = pieces(tokenizer, text);
    let is_kept = |at: usize| {
        pieces
            .iter()
            .any(|(_, (start, end))| (*start..*end).contains(&at))
    };
    let mut lost: BTreeMap<char, usize> = BTreeMap::new();
    for (at, character) in text.chars().enumerate() {
        if !is_kept(at) {
            *lost.entry(character).or_default() += 1;
        }
    }
    let (character, count) = lost.iter().max_by_key(|(_, count)| **count)?;
    let kind = kinds(tokenizer, "pre_tokenizer");
    Some(format!(
        "its pre_tokenizer{kind} leaves characters out, such as {character:?} ({count} of them); take a tokenizer \
         that keeps all, such as one of type ByteLevel"
    ))
}

/// An added token that takes the spaces beside it.
fn stripped(tokenizer: &Tokenizer, text: &str, ids: &[u32], decoded: &str) -> Option<String> {
    if !without_spaces(text).eq(without_spaces(decoded)) {
        return None;
    }
    let added = tokenizer.get_added_tokens_decoder();
    let token = ids
        .iter()
        .find_map(|id| added.get(id).filter(|t| t.lstrip || t.rstrip))?;
    let side = if token.lstrip { "lstrip" } else { "rstrip" };
    Some(format!(
        "its added token {:?} takes the spaces beside it (`{side}`); set `{side}` to false in a copy of \
         tokenizer.json",
        token.content
    ))
}

fn without_spaces(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace())
}

/// The first part that makes the same of both texts; the decoder if none does.
fn part(tokenizer: &Tokenizer, text: &str, ids: &[u32], decoded: &str) -> String {
    let whole = normalized(tokenizer, text);
    if whole.is_some() && whole == normalized(tokenizer, decoded) {
        let kind = kinds(tokenizer, "normalizer");
        return format!(
            "its normalizer{kind} makes the same of both; set `normalizer` to null in a copy of tokenizer.json, or \
             take a `mapping` whose text it leaves as it is"
        );
    }
    let only = |text: &str| pieces(tokenizer, text).into_iter().map(|(piece, _)| piece);
    if only(text).eq(only(decoded)) {
        return same_pieces(tokenizer);
    }
    let encoded = tokenizer.encode_char_offsets(decoded, false);
    if encoded.is_ok_and(|encoding| encoding.get_ids() == ids) {
        return unknown(tokenizer);
    }
    let kind = kinds(tokenizer, "decoder");
    format!(
        "its decoder{kind} does not undo what the other parts do; set one that does in a copy of tokenizer.json"
    )
}

/// Why a model has the same tokens for two texts.
fn unknown(tokenizer: &Tokenizer) -> String {
    let model = serde_json::to_value(tokenizer.get_model()).unwrap_or_default();
    let named = ["unk_token", "unk_id"]
        .into_iter()
        .find(|key| !model[*key].is_null());
    let why = match named {
        Some(key) => format!("has none for some of the text (`{key}` stands for that)"),
        None => "leaves out text for which it has none (it has no `unk_token`)".into(),
    };
    format!(
        "its model has the same tokens for both, because it {why}; take a tokenizer with a token for every byte"
    )
}

fn normalized(tokenizer: &Tokenizer, text: &str) -> Option<String> {
    let mut string = NormalizedString::from(text);
    tokenizer.get_normalizer()?.normalize(&mut string).ok()?;
    Some(string.get().to_owned())
}

/// What a pre-tokenizer does that makes the same pieces of two texts.
fn same_pieces(tokenizer: &Tokenizer) -> String {
    let kind = kinds(tokenizer, "pre_tokenizer");
    let Some((_, splitter)) = settings(tokenizer)
        .into_iter()
        .find(|(part, _)| *part == "pre_tokenizer")
    else {
        return "its decoder does not undo what the other parts do".into();
    };
    let change = match (find(&splitter, "prepend_scheme"), find(&splitter, "add_prefix_space")) {
        (Some(scheme), _) if scheme != "never" => format!(
            "puts a space in front of a text that has none (`prepend_scheme`: {scheme}), so that texts with and \
             without one get the same tokens; set `prepend_scheme` to \"never\" in a copy of tokenizer.json, and take \
             out what takes the space off again (`Strip` in its decoder)"
        ),
        (_, Some(Value::Bool(true))) => "puts a space in front of a text that has none (`add_prefix_space`: true), so \
             that texts with and without one get the same tokens; set `add_prefix_space` to false in a copy of \
             tokenizer.json"
            .into(),
        _ => "makes the same pieces of both; take a tokenizer that keeps all, such as one of type ByteLevel".into(),
    };
    format!("its pre_tokenizer{kind} {change}")
}

/// The parts that it has, as the file has them.
fn settings(tokenizer: &Tokenizer) -> Vec<(&'static str, Value)> {
    let parts = [
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
    let read = parts
        .into_iter()
        .filter_map(|(part, value)| Some((part, value.ok()?)));
    read.filter(|(_, value)| !value.is_null()).collect()
}

/// The types of a part in brackets, behind a space.
fn kinds(tokenizer: &Tokenizer, part: &str) -> String {
    let found = settings(tokenizer)
        .into_iter()
        .find(|(name, _)| *name == part);
    let mut kinds = Vec::new();
    if let Some((_, value)) = found {
        collect(&value, &mut kinds);
    }
    if kinds.is_empty() {
        String::new()
    } else {
        format!(" ({})", kinds.join(", "))
    }
}

fn collect(value: &Value, kinds: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let kind = map.get("type").and_then(Value::as_str);
            kinds.extend(kind.filter(|kind| *kind != "Sequence").map(str::to_owned));
            map.values().for_each(|part| collect(part, kinds));
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, kinds)),
        _ => {}
    }
}

fn mentions(value: &Value, kind: &str) -> bool {
    let mut kinds = Vec::new();
    collect(value, &mut kinds);
    kinds.iter().any(|found| found == kind)
}

/// The value of a key at any depth.
fn find<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map
            .get(key)
            .or_else(|| map.values().find_map(|part| find(part, key))),
        Value::Array(parts) => parts.iter().find_map(|part| find(part, key)),
        _ => None,
    }
}
