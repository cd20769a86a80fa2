//! Digests: what content is, as a type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::tree::Tree;

/// BLAKE3 hash of some content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Wraps a finished hash.
    pub fn from_hash(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }

    /// 64 lowercase hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", &self.hex()[..12])
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        blake3::Hash::from_hex(text)
            .map(Self::from_hash)
            .map_err(|_| format!("`{text}` is not 64 hexadecimal digits"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Hash function of a [`Pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// BLAKE3, 256 bits.
    Blake3,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// Hexadecimal hash of bytes in memory.
    pub fn hash(self, bytes: &[u8]) -> String {
        match self {
            Self::Blake3 => Digest::of(bytes).hex(),
            Self::Sha256 => sha256(bytes),
        }
    }

    /// Hexadecimal hash of a file.
    pub fn hash_file(self, path: &std::path::Path) -> std::io::Result<String> {
        match self {
            Self::Blake3 => Ok(hash_file(path)?.hex()),
            Self::Sha256 => sha256_file(path),
        }
    }
}

/// A hash under way.
#[derive(Debug)]
pub enum Hasher {
    /// BLAKE3.
    Blake3(Box<blake3::Hasher>),
    /// SHA-256.
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// Nothing hashed yet.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Blake3 => Self::Blake3(Box::default()),
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::default()),
        }
    }

    /// Which hash it is.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Blake3(_) => Algorithm::Blake3,
            Self::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// Goes on with more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(hasher) => sha2::digest::Update::update(hasher, bytes),
        }
    }

    /// The hash of all bytes.
    pub fn finish(self) -> Pin {
        match self {
            Self::Blake3(hasher) => Pin {
                algorithm: Algorithm::Blake3,
                hex: Digest::from_hash(hasher.finalize()).hex(),
            },
            Self::Sha256(hasher) => Pin {
                algorithm: Algorithm::Sha256,
                hex: to_hex(&sha2::Digest::finalize(hasher)),
            },
        }
    }
}

/// The digest that a source is declared to have.
///
/// Of a file: the hash of its bytes. Of a folder: the hash of its [listing](crate::tree), which for
/// plain files is what `b3sum` or `sha256sum` prints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pin {
    /// Hash function.
    pub algorithm: Algorithm,
    /// 64 lowercase hexadecimal digits.
    pub hex: String,
}

impl Pin {
    /// The pin of a folder whose files (relative path → hexadecimal hash) are these, none of them
    /// executable.
    pub fn of_files(
        algorithm: Algorithm,
        files: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let tree = Tree::of_files(files);
        let hex = algorithm.hash(tree.to_text(algorithm).as_bytes());
        Self { algorithm, hex }
    }
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not `blake3:` or `sha256:` and 64 hexadecimal digits");
        let (name, hex) = text.split_once(':').ok_or_else(refuse)?;
        let algorithm = match name {
            "blake3" => Algorithm::Blake3,
            "sha256" => Algorithm::Sha256,
            _ => return Err(refuse()),
        };
        let digest: Digest = hex.parse().map_err(|_| refuse())?;
        let hex = digest.hex();
        Ok(Self { algorithm, hex })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.algorithm {
            Algorithm::Blake3 => "blake3",
            Algorithm::Sha256 => "sha256",
        };
        write!(f, "{name}:{}", self.hex)
    }
}

/// Hashes a file with BLAKE3, on all cores when it is large.
pub fn hash_file(path: &std::path::Path) -> std::io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path)?;
    Ok(Digest::from_hash(hasher.finalize()))
}

/// Hexadecimal SHA-256 of a file.
pub fn sha256_file(path: &std::path::Path) -> std::io::Result<String> {
    use sha2::{Digest as _, Sha256};
    let mut hasher = Sha256::new();
    std::io::copy(&mut fs_err::File::open(path)?, &mut HashWriter(&mut hasher))?;
    Ok(to_hex(&hasher.finalize()))
}

/// Hexadecimal SHA-256 of bytes in memory.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    to_hex(&Sha256::digest(bytes))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        use fmt::Write;
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

struct HashWriter<'a, H>(&'a mut H);

impl<H: sha2::digest::Update> std::io::Write for HashWriter<'_, H> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_b3sum_and_sha256sum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let b3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(hash_file(&path).unwrap().hex(), b3);
        assert_eq!(b3.parse::<Digest>().unwrap(), Digest::of(b"abc"));
        let mut hasher = Hasher::new(Algorithm::Blake3);
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish().hex, b3);
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_file(&path).unwrap(), sha);
        assert_eq!(sha256(b"abc"), sha);
    }

    #[test]
    fn a_pin_is_read_as_it_is_shown() {
        let files = [("b/x".to_owned(), "1".repeat(64))];
        let pin = Pin::of_files(Algorithm::Sha256, files);
        let line = format!("{}  b/x\n", "1".repeat(64));
        assert_eq!(pin.hex, sha256(line.as_bytes()));
        assert_eq!(pin.to_string().parse(), Ok(pin));
        for wrong in ["", "md5:00", "sha256:12", "sha256"] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_digest_that_is_not_hexadecimal_is_refused() {
        assert!("xyz".parse::<Digest>().is_err());
    }
}
