//! Parameters of the `chunk` stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How files become bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decoder {
    /// Every file as it is, in name order.
    Raw,
    /// The same: text is any bytes.
    Text,
    /// PNG, JPEG, WebP, GIF, BMP and TIFF, also in the column `image` of Parquet files: 8-bit
    /// grayscale patches.
    Image,
    /// WAV, FLAC, MP3, Ogg, AIFF and CAF: 16-bit little-endian mono PCM.
    Speech,
    /// Columns of CSV files: the fields of a record, in the order asked for, each ended by a line
    /// feed.
    Csv(Csv),
    /// Files of some kinds below a folder, as they are, in name order.
    Files(Files),
}

/// What is taken of CSV files, whose first record names the columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// What stands between fields.
    #[serde(default = "comma")]
    pub delimiter: char,
}

fn comma() -> char {
    ','
}

/// Which files of a folder are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// How their names end, without the dot.
    pub extensions: Vec<String>,
}

/// Which chunks are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The first `count`.
    #[default]
    First,
    /// Number `floor(i * available / count)` for i from 0.
    Even,
    /// `count` drawn without replacement by the seed, in ascending order.
    Random,
}

/// Which patches are cut from an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Crops {
    /// All that lie next to each other from the top left corner.
    #[default]
    Grid,
    /// One, wherever the seed puts it; images smaller than a patch are passed over.
    One,
}

/// Size of an image patch in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Height.
    pub rows: usize,
    /// Width.
    pub columns: usize,
}

impl Default for Patch {
    fn default() -> Self {
        Self {
            rows: 32,
            columns: 64,
        }
    }
}

/// Parameters of the `chunk` stage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChunkParams {
    /// How files become bytes.
    pub decode: Decoder,
    /// Bytes in each chunk.
    #[serde(default = "default_bytes")]
    pub bytes: usize,
    /// Chunks to take; all of them if not given.
    #[serde(default)]
    pub count: Option<usize>,
    /// First chunk that may be taken.
    #[serde(default)]
    pub offset: usize,
    /// Which chunks are taken.
    #[serde(default)]
    pub order: Order,
    /// Which patches are cut from an image. Not in the key where it is `grid`, which every key
    /// from before there was a choice means.
    #[serde(default, skip_serializing_if = "is_grid")]
    pub crops: Crops,
    /// Seed of `order: random` and of `crops: one`.
    #[serde(default)]
    pub seed: u64,
    /// Size of an image patch.
    #[serde(default)]
    pub patch: Patch,
    /// Samples a second of speech.
    #[serde(default = "default_rate")]
    pub sample_rate: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_grid(crops: &Crops) -> bool {
    *crops == Crops::Grid
}

fn default_bytes() -> usize {
    2048
}

fn default_rate() -> u32 {
    16_000
}

impl ChunkParams {
    /// What is wrong with the parameters: (parameter, message).
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        let refuse = |field: &str, message: String| Err((field.to_owned(), message));
        if self.bytes == 0 {
            return refuse("bytes", "a chunk must hold at least one byte".into());
        }
        let pixels = self.patch.rows * self.patch.columns;
        if self.decode == Decoder::Image && pixels != self.bytes {
            let message = format!(
                "a patch has {pixels} pixels, so `bytes` can't be {}",
                self.bytes
            );
            return refuse("bytes", message);
        }
        if let Some((field, message)) = wrong_decoder(&self.decode) {
            return refuse(field, message.to_owned());
        }
        if self.count == Some(0) {
            return refuse("count", "at least one chunk must be taken".into());
        }
        if self.sample_rate == 0 {
            return refuse("sample_rate", "the sample rate must be above 0".into());
        }
        Ok(())
    }
}

/// What is wrong with a decoder's own parameters.
fn wrong_decoder(decoder: &Decoder) -> Option<(&'static str, &'static str)> {
    match decoder {
        Decoder::Csv(csv) if csv.columns.is_empty() => {
            Some(("decode.csv.columns", "at least one column is needed"))
        }
        Decoder::Csv(csv) if !csv.delimiter.is_ascii() => {
            Some(("decode.csv.delimiter", "a delimiter is one ASCII character"))
        }
        Decoder::Files(files) if files.extensions.is_empty() => Some((
            "decode.files.extensions",
            "at least one extension is needed",
        )),
        _ => None,
    }
}
