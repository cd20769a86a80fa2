//! The `chunk` stage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpipe_data::chunks::{self, Header};
use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Role, Roles, Stage, StageContext, StageError, StageId,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::chunk_params::{ChunkParams, Crops, Decoder, Order};
use crate::cut::{self, Piece, Stream};
use crate::error::CorpusError;
use crate::named::read;
use crate::{columns, picture, sound};

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
        params.check()?;
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
                picture::each(name, path, &mut |picture, bytes| {
                    context.check_cancelled()?;
                    Ok(self.picture(picture, &bytes, &mut pieces)?)
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

    /// Refuses a source without a chunk, by the names of what was decoded.
    fn check_any(
        &self,
        files: &BTreeMap<String, PathBuf>,
        available: usize,
    ) -> Result<(), CorpusError> {
        let offset = self.0.offset;
        if self.0.count.is_some() || available > offset {
            return Ok(());
        }
        let chosen = select(files, &self.0.decode)?;
        let files = match chosen[..] {
            [(first, _), (second, _)] => format!("`{first}` and `{second}`"),
            [(first, _), _, ..] => format!("`{first}` and {} other files", chosen.len() - 1),
            _ => format!("`{}`", chosen[0].0),
        };
        Err(CorpusError::NoChunk { files, offset })
    }

    /// Cuts a picture, or only counts it where it can't be among the chosen.
    fn picture(&self, name: &str, bytes: &[u8], pieces: &mut Pieces) -> Result<(), CorpusError> {
        let p = &self.0;
        if p.crops == Crops::Grid {
            pieces.add(picture::grid(name, bytes, p.patch)?);
            return Ok(());
        }
        if !picture::is_large_enough(name, bytes, p.patch)? {
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
        pieces.add(vec![picture::crop(name, bytes, p.patch, &mut random)?]);
        Ok(())
    }

    /// The bytes of a file that is no image.
    fn stream(&self, name: &str, path: &Path) -> Result<Vec<u8>, StageError> {
        match &self.0.decode {
            Decoder::Speech => Ok(sound::pcm(name, path, self.0.sample_rate)?),
            Decoder::Csv(csv) => Ok(columns::fields(name, path, csv)?),
            _ => Ok(read(name, path)?),
        }
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
            fixed(&picture::ENDINGS),
            "PNG, JPEG, WebP, GIF, BMP, TIFF or Parquet file",
        ),
        Decoder::Speech => (
            fixed(&sound::ENDINGS),
            "WAV, AIFF, CAF, FLAC, MP3 or Ogg file",
        ),
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
            version: 2,
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
        self.check_any(files, pieces.available)?;
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
