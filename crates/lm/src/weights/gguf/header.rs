//! The header of a GGUF file, versions 2 and 3 (ggml/docs/gguf.md).

use std::collections::BTreeMap;

use serde_json::Value;

/// Deeper arrays than any file has.
const MAX_DEPTH: u32 = 4;
const MAX_DIMENSIONS: u32 = 4;

/// What stands before the tensors' bytes.
#[derive(Debug)]
pub(super) struct Header {
    /// Values by key. Of an array there is only how many values it has.
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: Vec<Tensor>,
}

/// A tensor as the header has it.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// The last dimension's elements lie next to each other.
    pub(super) shape: Vec<usize>,
    /// Number format.
    pub(super) kind: u32,
    /// Where its bytes begin in the file.
    pub(super) start: usize,
}

impl Header {
    /// Reads the header at the beginning of `bytes`.
    ///
    /// # Errors
    /// What is wrong, as a lowercase fragment.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(4)? != b"GGUF" {
            return Err("not a GGUF file: it does not begin with `GGUF`".into());
        }
        let version = reader.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!(
                "GGUF version {version}, expected 2 or 3 in little-endian order"
            ));
        }
        let (tensors, values) = (reader.u64()?, reader.u64()?);
        let mut metadata = BTreeMap::new();
        for _ in 0..values {
            let key = reader.string()?;
            let kind = reader.u32()?;
            let value = reader.value(kind, 0)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(format!("the key `{key}` is there twice, expected once"));
            }
        }
        let infos: Result<Vec<Tensor>, String> = (0..tensors).map(|_| reader.tensor()).collect();
        let mut tensors = infos?;
        let alignment = metadata.get("general.alignment").and_then(Value::as_u64);
        let alignment = alignment.unwrap_or(32).max(1) as usize;
        let data = reader.at.checked_next_multiple_of(alignment);
        for tensor in &mut tensors {
            let start = data.and_then(|data| data.checked_add(tensor.start));
            tensor.start = start.ok_or_else(|| damaged(reader.at))?;
        }
        Ok(Self { metadata, tensors })
    }

    /// What `general.architecture` says.
    pub(super) fn architecture(&self) -> &str {
        let named = self.metadata.get("general.architecture");
        named.and_then(Value::as_str).unwrap_or_default()
    }

    /// Tensor `name`.
    pub(super) fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

/// A number, or its text where JSON has none for it.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

fn damaged(at: usize) -> String {
    format!("not a whole GGUF file: its header is damaged at byte {at}")
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(length);
        let part = end.and_then(|end| self.bytes.get(self.at..end));
        let part = part.ok_or_else(|| {
            format!(
                "not a whole GGUF file: its header goes on beyond its {} bytes",
                self.bytes.len()
            )
        })?;
        self.at += length;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let part = self.take(N)?;
        Ok(part.try_into().expect("N bytes were taken"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Result<String, String> {
        let (length, at) = (self.u64()? as usize, self.at);
        let text = std::str::from_utf8(self.take(length)?);
        text.map(str::to_owned).map_err(|_| damaged(at))
    }

    /// A value of type `kind`; an array is passed over.
    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, String> {
        Ok(match kind {
            0 => self.array::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            6 => number(f32::from_le_bytes(self.array()?).into()),
            7 => (self.array::<1>()?[0] != 0).into(),
            8 => self.string()?.into(),
            9 => {
                let (inner, length) = (self.u32()?, self.u64()?);
                if depth == MAX_DEPTH {
                    return Err(damaged(self.at));
                }
                for _ in 0..length {
                    self.value(inner, depth + 1)?;
                }
                vec![format!("{length} values")].into()
            }
            10 => self.u64()?.into(),
            11 => i64::from_le_bytes(self.array()?).into(),
            12 => number(f64::from_le_bytes(self.array()?)),
            _ => return Err(damaged(self.at)),
        })
    }

    fn tensor(&mut self) -> Result<Tensor, String> {
        let name = self.string()?;
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(damaged(self.at));
        }
        let shape: Result<Vec<usize>, String> =
            (0..dimensions).map(|_| Ok(self.u64()? as usize)).collect();
        let mut shape = shape?;
        shape.reverse();
        Ok(Tensor {
            name,
            shape,
            kind: self.u32()?,
            start: self.u64()? as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 2_u32..4) {
            let mut file = b"GGUF".to_vec();
            file.extend(version.to_le_bytes());
            // Few tensors and values, so that parsing goes on.
            file.extend([2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
            file.extend(&bytes);
            let _ = Header::parse(&file);
            let _ = Header::parse(&bytes);
        }
    }

    #[test]
    fn an_array_without_end_is_damage() {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend([0; 8]);
        file.extend(1_u64.to_le_bytes());
        file.extend(1_u64.to_le_bytes());
        file.push(b'k');
        file.extend(9_u32.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file.extend(u64::MAX.to_le_bytes());
        let error = Header::parse(&file).unwrap_err();
        assert!(error.contains("goes on beyond its"), "{error}");
    }
}
