//! What is refused of a tokenizer, and which part of it is named.

#![allow(clippy::unwrap_used, reason = "tests")]

use cpipe_data::tokens::Mapping;
use cpipe_lm::ChunkTokenizer;
use serde_json::{Map, Value, json};

/// A tokenizer of type `ByteLevel` that has every byte but those for which `absent` holds.
fn byte_level(absent: impl Fn(u8) -> bool) -> Value {
    let mut vocab = Map::new();
    let mut other = 256;
    for byte in 0..=255_u8 {
        let character = match byte {
            33..=126 | 161..=172 | 174.. => char::from(byte),
            _ => {
                other += 1;
                char::from_u32(other - 1).unwrap()
            }
        };
        if !absent(byte) {
            let id = vocab.len();
            vocab.insert(character.to_string(), json!(id));
        }
    }
    let id = vocab.len();
    json!({
        "version": "1.0",
        "added_tokens": [{"id": id, "content": "<|end|>", "special": true, "lstrip": false, "rstrip": false,
                          "normalized": false, "single_word": false}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "vocab": vocab, "merges": []},
    })
}

fn read(file: &Value) -> Result<ChunkTokenizer, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    std::fs::write(&path, serde_json::to_vec(file).unwrap()).unwrap();
    ChunkTokenizer::read(&path, Mapping::Mask7).map_err(|e| e.to_string())
}

/// What tokenizing says.
fn encode(file: &Value, text: &str) -> Result<usize, String> {
    let tokens = read(file)?.encode(7, text.as_bytes());
    tokens
        .map(|tokens| tokens.ids.len())
        .map_err(|e| e.to_string())
}

fn refusal(file: &Value, text: &str) -> String {
    encode(file, text).expect_err("it was tokenized")
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn bytes_that_the_vocabulary_does_not_have_are_named() {
    let lossy = byte_level(|byte| byte == 0x16 || byte == b'q');
    assert_eq!(encode(&lossy, "the end"), Ok(7));
    let error = refusal(&lossy, "a\x16b\x16 q");
    assert_has(
        &error,
        &[
            "chunk 7",
            "character 1 is 'b' instead of '\\u{16}'",
            "the vocabulary has no token for",
        ],
    );
    assert_has(
        &error,
        &[
            "byte 0x16 (2 such characters)",
            "byte 0x71 (1 such characters)",
            "`mapping`",
        ],
    );
    assert!(
        !error.contains("normalizer") && !error.contains("Some("),
        "{error}"
    );
}

#[test]
fn a_space_in_front_is_blamed_on_the_part_that_puts_it_there() {
    let mut prefixed = byte_level(|_| false);
    prefixed["pre_tokenizer"]["add_prefix_space"] = true.into();
    assert!(encode(&prefixed, " the").is_ok());
    assert_has(
        &refusal(&prefixed, "the"),
        &[
            "pre_tokenizer (ByteLevel)",
            "`add_prefix_space`: true",
            "to false",
        ],
    );
}

/// A tokenizer of the type of Llama 2, in the newer form.
fn metaspace(scheme: &str, strips: bool) -> Value {
    let mut vocab: Map<String, Value> = (0..256)
        .map(|b| (format!("<0x{b:02X}>"), json!(b)))
        .collect();
    for word in ["▁", "t", "h", "e", "th", "the", "▁the"] {
        vocab.insert(word.into(), json!(vocab.len()));
    }
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strips {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({
        "version": "1.0",
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false},
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {"type": "BPE", "byte_fallback": true, "vocab": vocab,
                  "merges": [["t", "h"], ["th", "e"], ["▁", "the"]]},
    })
}

#[test]
fn a_scheme_that_makes_the_same_of_two_texts_is_named_and_the_advice_holds() {
    let first = metaspace("first", true);
    assert!(encode(&first, "the the").is_ok());
    let error = refusal(&first, " the the");
    assert_has(
        &error,
        &[
            "pre_tokenizer (Metaspace)",
            "`prepend_scheme`: \"first\"",
            "\"never\"",
            "`Strip` in its decoder",
        ],
    );
    let never = metaspace("never", false);
    assert_eq!(encode(&never, " the the"), Ok(2));
    assert!(encode(&never, "the the").is_ok());
}

#[test]
fn other_parts_are_named_too() {
    let mut lower = byte_level(|_| false);
    lower["normalizer"] =
        json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]});
    assert_has(
        &refusal(&lower, "The"),
        &["its normalizer (NFC, Lowercase)", "to null"],
    );

    let mut words = byte_level(|_| false);
    words["pre_tokenizer"] = json!({"type": "Whitespace"});
    words["decoder"] = Value::Null;
    assert_has(
        &refusal(&words, "a  b"),
        &["its pre_tokenizer (Whitespace) leaves characters out, such as ' '"],
    );

    let mut strips = byte_level(|_| false);
    strips["added_tokens"][0]["rstrip"] = true.into();
    assert!(encode(&strips, "a<|end|>b").is_ok());
    // The token takes the space, and whoever decodes does not know of it.
    assert_has(
        &refusal(&strips, "a<|end|> b"),
        &["added token \"<|end|>\"", "`rstrip`", "to false"],
    );

    let mut undecoded = byte_level(|_| false);
    undecoded["decoder"] = json!({"type": "WordPiece", "prefix": "##", "cleanup": false});
    assert_has(&refusal(&undecoded, "ab"), &["its decoder (WordPiece)"]);

    let unknown = json!({"version": "1.0", "pre_tokenizer": {"type": "Split", "pattern": {"String": " "},
        "behavior": "Isolated", "invert": false}, "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": {"a": 0, " ": 1, "?": 2}, "unk_token": "?"}});
    assert_eq!(encode(&unknown, "a a"), Ok(3));
    assert_has(&refusal(&unknown, "a b"), &["`unk_token`"]);
}

#[test]
fn a_tokenizer_that_draws_lots_is_refused() {
    let mut file = byte_level(|_| false);
    file["model"]["dropout"] = json!(0.1);
    assert_has(
        &read(&file).err().unwrap(),
        &["`tokenizer.json` of `tokenizer`", "`model.dropout` is 0.1"],
    );
    file["model"]["dropout"] = json!(0.0);
    assert!(read(&file).is_ok());
    let sampling = json!({"version": "1.0", "model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0]], "alpha": 0.1}});
    assert_has(
        &read(&sampling).err().unwrap(),
        &["`model.alpha` is not known"],
    );
}

#[test]
fn keys_that_the_library_would_pass_over_are_refused() {
    for (part, key) in [
        ("", "byte_order"),
        ("/model", "merge_rule"),
        ("/pre_tokenizer", "lowercase"),
        ("/decoder", "cut"),
        ("/added_tokens/0", "strip"),
    ] {
        let mut file = byte_level(|_| false);
        file.pointer_mut(part).unwrap()[key] = json!(true);
        let name = format!("{part}/{key}")[1..].replace('/', ".");
        assert_has(
            &read(&file).err().unwrap(),
            &[&format!("the key `{name}` is not known here")],
        );
    }
    let mut older = metaspace("always", true);
    older["pre_tokenizer"]["add_prefix_space"] = true.into();
    older["pre_tokenizer"]["str_rep"] = "▁".into();
    assert!(read(&older).is_ok());
}

#[test]
fn nothing_is_cut_padded_or_put_around() {
    let plain = byte_level(|_| false);
    let mut file = plain.clone();
    file["truncation"] =
        json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    file["padding"] = json!({"strategy": {"Fixed": 100}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "!"});
    file["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [256], "tokens": ["<|end|>"]}}});
    assert_eq!(
        encode(&file, "the end of it"),
        encode(&plain, "the end of it")
    );
}

#[test]
fn ids_are_those_of_the_file() {
    let mut file = byte_level(|_| false);
    file["added_tokens"][0]["id"] = json!(300);
    assert_has(
        &read(&file).err().unwrap(),
        &["\"<|end|>\" has the id 300 in the file, but 256"],
    );
    let mut huge = byte_level(|_| false);
    huge["model"]["vocab"]["a"] = json!(u32::MAX);
    assert_has(
        &read(&huge).err().unwrap(),
        &["token \"a\" has the id 4294967295"],
    );
    assert_eq!(read(&byte_level(|_| false)).unwrap().special(), ["<|end|>"]);
}

#[test]
fn tokens_have_ids_of_their_own() {
    let mut file = byte_level(|_| false);
    file["model"]["vocab"]["b"] = file["model"]["vocab"]["a"].clone();
    let error = read(&file).err().unwrap();
    assert_has(&error, &["\"a\" and \"b\" of `model.vocab` have one id"]);
}

#[test]
fn tokens_within_words_that_are_not_there_are_named() {
    let mut file = byte_level(|_| false);
    file["model"]["continuing_subword_prefix"] = "##".into();
    let error = refusal(&file, "ab");
    assert_has(&error, &["no token for \"##b\" (1 such characters)"]);
    assert!(!error.contains("unk_token"), "{error}");
    file["model"]["continuing_subword_prefix"] = Value::Null;
    file["model"]["end_of_word_suffix"] = "</w>".into();
    assert_has(&refusal(&file, "ab"), &["no token for \"b</w>\""]);
}

#[test]
fn merges_make_tokens_of_the_vocabulary() {
    for merge in [json!(["a", "b"]), json!("a b")] {
        let mut file = byte_level(|_| false);
        file["model"]["merges"] = json!([merge]);
        let error = read(&file).err().unwrap();
        assert_has(&error, &["`model.merges.0`", "\"a\" and \"b\""]);
        file["model"]["vocab"]["ab"] = json!(256);
        file["added_tokens"] = json!([]);
        assert_eq!(encode(&file, "ab"), Ok(1));
    }
    let mut file = byte_level(|_| false);
    file["model"]["merges"] = json!([["a", "b"]]);
    file["model"]["continuing_subword_prefix"] = "##".into();
    assert_has(&read(&file).err().unwrap(), &["`model.merges.0`"]);
}

#[test]
fn what_is_no_tokenizer_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let told = |text: &str| {
        std::fs::write(&path, text).unwrap();
        ChunkTokenizer::read(&path, Mapping::Mask7)
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n";
    assert_has(
        &told(pointer),
        &[
            "`tokenizer.json` of `tokenizer`",
            "pointer of Git LFS",
            "`git lfs pull`",
        ],
    );
    assert_has(
        &told("{\"version\": \"1.0\", \"version\": \"1.0\"}"),
        &["`version` stands twice", "line 1"],
    );
    assert_has(
        &told("{\"a\":\n NaN}"),
        &["not JSON", "line 2 column", "`NaN` are not JSON"],
    );
    assert_has(
        &told("{\"version\": \"2.0\", \"model\": null}"),
        &["not a tokenizer"],
    );
    assert_has(&told("[]"), &["not a dictionary"]);
    assert_has(&told("\u{feff}{}"), &["byte order mark"]);
    std::fs::remove_file(&path).unwrap();
    let error = ChunkTokenizer::read(&path, Mapping::Mask7);
    let error = error.map(drop).unwrap_err().to_string();
    assert_has(&error, &["cannot read `tokenizer.json` of `tokenizer`"]);
    assert!(
        !error.contains(&dir.path().display().to_string()),
        "{error}"
    );
}
