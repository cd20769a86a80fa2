//! The `baseline` stage: classical compressors and simple models on the same chunks.
//!
//! Rows are scores: the protocol is the method's name, once for chunk by chunk with the header counted
//! once, and once, with [`WHOLE`] behind it, for all chunks as one file.

mod codec;
mod model;

use cpipe_data::chunks::ChunkSet;
use cpipe_data::scores::{self, ChunkScore};
use cpipe_engine::stage::{OutputSpec, Role, Roles};
use cpipe_engine::{Inputs, OutputDir, Report, Stage, StageContext, StageError, StageId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::LmError;

/// What stands behind a method's name where it compressed all chunks as one file.
const WHOLE: &str = ", whole";

/// A compressor or a model, at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// `gzip -9`.
    Gzip,
    /// `bzip2 -9`.
    Bzip2,
    /// `xz -6`.
    Xz,
    /// `zstd -19`.
    Zstd,
    /// Brotli at quality 11 with a window of 4 MiB.
    Brotli,
    /// Gray PNG, 64 pixels wide: a chunk of 2,048 bytes is 32 high.
    Png,
    /// FLAC of 16-bit little-endian mono samples.
    Flac,
    /// Adaptive frequencies of single bytes.
    Order0,
    /// Adaptive frequencies after the two bytes before, blended with lower orders.
    Order2,
    /// Every byte alike: 8 bits each.
    Uniform,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 10] = [
        Self::Gzip,
        Self::Bzip2,
        Self::Xz,
        Self::Zstd,
        Self::Brotli,
        Self::Png,
        Self::Flac,
        Self::Order0,
        Self::Order2,
        Self::Uniform,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -9",
            Self::Bzip2 => "bzip2 -9",
            Self::Xz => "xz -6",
            Self::Zstd => "zstd -19",
            Self::Brotli => "brotli -11",
            Self::Png => "png",
            Self::Flac => "flac",
            Self::Order0 => "order-0",
            Self::Order2 => "order-2",
            Self::Uniform => "uniform",
        }
    }

    /// Bits of `data`.
    fn bits(self, data: &[u8]) -> Result<f64, String> {
        let bytes = |size: Result<usize, String>| size.map(|n| 8.0 * n as f64);
        match self {
            Self::Gzip => bytes(codec::gzip(data)),
            Self::Bzip2 => bytes(codec::bzip2(data)),
            Self::Xz => bytes(codec::xz(data)),
            Self::Zstd => bytes(codec::zstd(data)),
            Self::Brotli => bytes(codec::brotli(data)),
            Self::Png => bytes(codec::png(data)),
            Self::Flac => bytes(codec::flac(data)),
            Self::Order0 => Ok(model::adaptive_bits(data, 0)),
            Self::Order2 => Ok(model::adaptive_bits(data, 2)),
            Self::Uniform => Ok(8.0 * data.len() as f64),
        }
    }

    /// Bits of as little data as the format can hold, which is taken for its header.
    fn header_bits(self) -> Result<f64, String> {
        match self {
            Self::Order0 | Self::Order2 | Self::Uniform => Ok(0.0),
            // The shortest block that FLAC allows.
            Self::Flac => self.bits(&[0; 64]),
            _ => self.bits(&[0]),
        }
    }

    /// Bytes that data has to be a multiple of.
    fn unit(self) -> usize {
        match self {
            Self::Png => codec::PNG_WIDTH,
            Self::Flac => 2,
            _ => 1,
        }
    }
}

/// Parameters of `baseline`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineParams {
    /// What to compress with, in the order of the output's rows.
    #[serde(default = "default_methods")]
    pub methods: Vec<Method>,
}

fn default_methods() -> Vec<Method> {
    Method::ALL.to_vec()
}

/// Compresses chunks with classical methods.
pub struct Baseline(BaselineParams);

impl Baseline {
    /// Checks the parameters.
    ///
    /// # Errors
    /// The parameter and what is wrong with it.
    pub fn new(params: BaselineParams) -> Result<Self, (String, String)> {
        let methods = &params.methods;
        if methods.is_empty() {
            return Err(("methods".into(), "at least one method is needed".into()));
        }
        if let Some(i) = (1..methods.len()).find(|i| methods[..*i].contains(&methods[*i])) {
            let message = format!("`{}` is named twice", methods[i].name());
            return Err((format!("methods.{i}"), message));
        }
        Ok(Self(params))
    }
}

/// The rows of a method: one for each chunk, then one for all of them.
fn rows(method: Method, chunks: &[&[u8]]) -> Result<Vec<ChunkScore>, String> {
    let length = chunks.first().map_or(0, |chunk| chunk.len());
    if !length.is_multiple_of(method.unit()) {
        let (name, unit) = (method.name(), method.unit());
        return Err(format!(
            "{name} works on units of {unit} bytes, and chunks have {length}: leave it out of `methods`"
        ));
    }
    let header = method.header_bits()?;
    let chunk_row = |(index, chunk): (usize, &&[u8])| {
        let counted = if index == 0 { 0.0 } else { header };
        let bits = method.bits(chunk)? - counted;
        Ok(row(method.name().into(), index, chunk.len(), bits))
    };
    let each = chunks.iter().enumerate().map(chunk_row);
    let mut rows: Vec<ChunkScore> = each.collect::<Result<_, String>>()?;
    let whole = chunks.concat();
    let name = format!("{}{WHOLE}", method.name());
    rows.push(row(name, 0, whole.len(), method.bits(&whole)?));
    Ok(rows)
}

fn row(protocol: String, chunk: usize, bytes: usize, bits: f64) -> ChunkScore {
    let raw_bits = 8.0 * bytes as f64;
    ChunkScore {
        protocol,
        chunk: chunk as u64,
        tokens: bytes as u64,
        tokens_scored: bytes as u64,
        raw_bytes: bytes as u64,
        bytes_covered: bytes as u64,
        context_min: 0,
        context_mean: 0.0,
        bits,
        bits_first: 0.0,
        side_bits: 0.0,
        compressed_bits: bits,
        raw_bits,
        cr: bits / raw_bits,
        floored: 0,
        nan: 0,
        dropped: false,
        pooled: true,
    }
}

impl Stage for Baseline {
    fn id(&self) -> StageId {
        StageId {
            name: "baseline".into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[Role {
            name: "chunks",
            many: false,
        }])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![OutputSpec::file("scores.parquet")]
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let node = inputs.one("chunks")?;
        let set = ChunkSet::open(node.file("chunks.bin")?, node.file("chunks.json")?)
            .map_err(LmError::from)?;
        let chunks: Vec<&[u8]> = set.iter().collect();
        let mut all = Vec::new();
        for (done, method) in self.0.methods.iter().enumerate() {
            context.check_cancelled()?;
            all.extend(rows(*method, &chunks).map_err(StageError::failed)?);
            let total = self.0.methods.len() as u64;
            (context.progress)(done as u64 + 1, total, "methods");
        }
        scores::write(&outputs.path("scores.parquet"), &all).map_err(LmError::from)?;
        Ok(Report::default())
    }
}

#[cfg(test)]
mod tests;
