//! JSON as Python reads it: `Infinity`, `-Infinity` and `NaN` are numbers. Unlike Python, no key may stand twice.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What Python writes for numbers that JSON does not have.
const NOT_FINITE: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// What some editors put in front of a text in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a file's text. A number that is not finite comes out as its text.
///
/// # Errors
/// What is wrong, with line and column.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    refuse_mark(text)?;
    let once: Result<Once, _> = serde_json::from_slice(&quoted(text));
    once.map(|value| value.0).map_err(|e| e.to_string())
}

/// Refuses what only Python reads, for readers that take JSON alone.
pub(crate) fn parse_strictly(text: &[u8]) -> Result<Value, String> {
    refuse_mark(text)?;
    let once: Result<Once, _> = serde_json::from_slice(text);
    once.map(|value| value.0).map_err(|e| {
        if parse(text).is_ok() {
            format!("{e} (`Infinity` and `NaN` are not JSON)")
        } else {
            e.to_string()
        }
    })
}

/// Python does not read it either.
fn refuse_mark(text: &[u8]) -> Result<(), String> {
    if text.starts_with(MARK) {
        return Err(
            "it begins with a byte order mark (bytes ef bb bf): save it as UTF-8 without one"
                .into(),
        );
    }
    Ok(())
}

/// The text with quotes around numbers that are not finite.
fn quoted(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Vec<u8> = Vec::new();
    let (mut at, mut copied, mut in_string) = (0, 0, false);
    while let Some(byte) = text.get(at) {
        let word = NOT_FINITE.iter().find(|word| text[at..].starts_with(word));
        match (byte, word) {
            (b'\\', _) if in_string => at += 1,
            (b'"', _) => in_string = !in_string,
            (_, Some(word)) if !in_string => {
                out.extend_from_slice(&text[copied..at]);
                out.push(b'"');
                out.extend_from_slice(word);
                out.push(b'"');
                at += word.len() - 1;
                copied = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

/// A value of which no key stands twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor).map(Once)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Once(value))) = entries.next_entry::<String, Once>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key `{key}` stands twice, expected once"
                )));
            }
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let text = br#"{"a": [0.0, Infinity, -Infinity], "b\"NaN": "NaN", "c": NaN, "d": null}"#;
        let expected =
            json!({"a": [0.0, "Infinity", "-Infinity"], "b\"NaN": "NaN", "c": "NaN", "d": null});
        assert_eq!(parse(text).unwrap(), expected);
        let error = parse_strictly(text).unwrap_err();
        assert!(error.contains("line 1 column 13"), "{error}");
        assert!(error.contains("are not JSON"), "{error}");
    }

    #[test]
    fn a_key_stands_once_and_errors_have_a_position() {
        let error = parse(b"{\"a\": 1,\n \"b\": {\"c\": 1, \"c\": 1}}").unwrap_err();
        assert!(error.contains("`c` stands twice"), "{error}");
        assert!(error.contains("line 2"), "{error}");
        let error = parse(b"{\"a\": 1,\n").unwrap_err();
        assert!(error.contains("line 2 column 0"), "{error}");
        assert!(parse(&vec![b'['; 100_000]).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        for read in [parse, parse_strictly] {
            let error = read("\u{feff}{}".as_bytes()).unwrap_err();
            assert!(error.contains("byte order mark"), "{error}");
        }
    }
}
