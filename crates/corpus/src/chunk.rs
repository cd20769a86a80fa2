use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpipe_data::chunks::{self, Header};
use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Role, Roles, Stage, StageContext, StageError, StageId,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cut::{self, Piece, Stream};
use crate::error::CorpusError;
use crate::{audio, columns, image, pictures};

/// How files become bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decoder {
    /// Every file as it is, in name order.
    Raw,
    /// The same: text is any bytes.
    Text,
    /// PNG and JPEG, also in the column `image` of Parquet files: 8-bit grayscale patches.
    Image,
    /// FLAC and WAV: 16-bit little-endian mono PCM.
    #[serde(alias = "audio")]
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

/// Decodes a source and cuts it into chunks of exactly the same size.
///
/// Input `source`: a folder output `files`. Outputs `chunks.bin` and `chunks.json`.
#[derive(Clone, Debug)]
pub struct Chunk(ChunkParams);

impl Chunk {
    /// Checks the parameters.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: ChunkParams) -> Result<Self, (String, String)> {
        let refuse = |field: &str, message: String| Err((field.to_owned(), message));
        if params.bytes == 0 {
            return refuse("bytes", "a chunk must hold at least one byte".into());
        }
        let pixels = params.patch.rows * params.patch.columns;
        if params.decode == Decoder::Image && pixels != params.bytes {
            let message = format!(
                "a patch has {pixels} pixels, so `bytes` can't be {}",
                params.bytes
            );
            return refuse("bytes", message);
        }
        if let Some((field, message)) = wrong_decoder(&params.decode) {
            return refuse(field, message.to_owned());
        }
        if params.count == Some(0) {
            return refuse("count", "at least one chunk must be taken".into());
        }
        if params.sample_rate == 0 {
            return refuse("sample_rate", "the sample rate must be above 0".into());
        }
        Ok(Self(params))
    }

    fn pieces(
        &self,
        files: &BTreeMap<String, PathBuf>,
        context: &StageContext<'_>,
    ) -> Result<Pieces, StageError> {
        let chosen = select(files, &self.0.decode)?;
        let total = chosen.len() as u64;
        let mut pieces = Pieces::default();
        let mut streams = Vec::new();
        for (done, (name, path)) in chosen.into_iter().enumerate() {
            context.check_cancelled()?;
            if self.0.decode == Decoder::Image {
                pictures::each(name, path, &mut |picture, bytes| {
                    context.check_cancelled()?;
                    Ok(self.picture(picture, bytes, &mut pieces)?)
                })?;
            } else {
                let bytes = self.stream(name, path)?;
                let file = name.clone();
                streams.push(Stream { file, bytes });
            }
            (context.progress)(done as u64 + 1, total, "files");
        }
        pieces.add(cut::cut_joined(&streams, self.0.bytes));
        Ok(pieces)
    }

    /// Cuts a picture, or only counts it where it can't be among the chosen.
    fn picture(&self, name: &str, bytes: Vec<u8>, pieces: &mut Pieces) -> Result<(), CorpusError> {
        let p = &self.0;
        if p.crops == Crops::Grid {
            pieces.add(image::grid(name, bytes, p.patch)?);
            return Ok(());
        }
        if !image::is_large_enough(name, &bytes, p.patch)? {
            return Ok(());
        }
        let enough = p.count.filter(|_| p.order == Order::First);
        if enough.is_some_and(|count| pieces.available >= p.offset.saturating_add(count)) {
            pieces.available += 1;
            return Ok(());
        }
        // A stream of its own, so that no picture's crop depends on the others' sizes.
        let mut random = ChaCha8Rng::seed_from_u64(p.seed);
        random.set_stream(pieces.available as u64);
        pieces.add(vec![image::crop(name, bytes, p.patch, &mut random)?]);
        Ok(())
    }

    /// The bytes of a file that is no image.
    fn stream(&self, name: &str, path: &Path) -> Result<Vec<u8>, StageError> {
        match &self.0.decode {
            Decoder::Speech => Ok(audio::pcm(name, path, self.0.sample_rate)?),
            Decoder::Csv(csv) => Ok(columns::fields(name, path, csv)?),
            _ => fs_err::read(path).map_err(|e| StageError::io(path, e)),
        }
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

/// What a source was cut into.
#[derive(Default)]
struct Pieces {
    made: Vec<Piece>,
    /// With those at the end that were only counted.
    available: usize,
}

impl Pieces {
    fn add(&mut self, pieces: Vec<Piece>) {
        self.available += pieces.len();
        self.made.extend(pieces);
    }
}

/// The files that a decoder takes, in name order.
fn select<'f>(
    files: &'f BTreeMap<String, PathBuf>,
    decoder: &Decoder,
) -> Result<Vec<(&'f String, &'f PathBuf)>, CorpusError> {
    let fixed = |endings: &[&str]| endings.iter().map(|e| (*e).to_owned()).collect();
    let (endings, expected): (Vec<String>, &'static str) = match decoder {
        Decoder::Raw | Decoder::Text => (fixed(&[""]), "file"),
        Decoder::Image => (
            fixed(&[".png", ".jpg", ".jpeg", ".parquet"]),
            "PNG, JPEG or Parquet file",
        ),
        Decoder::Speech => (fixed(&[".flac", ".wav"]), "FLAC or WAV file"),
        Decoder::Csv(_) => (fixed(&[".csv", ".tsv"]), "CSV file"),
        Decoder::Files(files) => {
            let ending = |e: &String| format!(".{}", e.to_lowercase());
            let endings = files.extensions.iter().map(ending).collect();
            (endings, "file with one of the `extensions`")
        }
    };
    let taken = |name: &str| endings.iter().any(|e| name.to_lowercase().ends_with(e));
    let chosen: Vec<_> = files.iter().filter(|(name, _)| taken(name)).collect();
    if chosen.is_empty() {
        return Err(CorpusError::NothingToDecode {
            expected,
            files: files.len(),
        });
    }
    Ok(chosen)
}

impl Stage for Chunk {
    fn id(&self) -> StageId {
        StageId {
            name: "chunk".into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[Role {
            name: "source",
            many: false,
        }])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![
            OutputSpec::file("chunks.bin"),
            OutputSpec::file("chunks.json"),
        ]
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let files = inputs.one("source")?.dir("files")?;
        let pieces = self.pieces(files, context)?;
        let p = &self.0;
        let numbers = cut::choose(pieces.available, p.offset, p.count, p.order, p.seed)?;
        let chosen: Vec<&Piece> = numbers.iter().map(|i| &pieces.made[*i]).collect();
        let header = Header {
            version: chunks::VERSION,
            chunk_bytes: p.bytes,
            available: pieces.available,
            origins: chosen.iter().map(|(origin, _)| origin.clone()).collect(),
        };
        let (bin, json) = (outputs.path("chunks.bin"), outputs.path("chunks.json"));
        chunks::write(
            &bin,
            &json,
            &header,
            chosen.iter().map(|(_, bytes)| bytes.as_slice()),
        )
        .map_err(|e| StageError::failed(e.to_string()))?;
        Ok(Report::default())
    }
}
