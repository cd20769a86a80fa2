use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use cpipe_engine::spec::{Location, SourceEntry};
use petgraph::graph::NodeIndex;
use serde_json::Value;

use super::gigabytes;
use super::rates::{self, Device, Rate};
use super::shape::Shape;
use crate::session::Session;

/// The number format of the CPU.
const F32: &str = "f32";
/// Tokens at once on the CPU, for each thread, and on a card.
const TOKENS_A_THREAD: u64 = 2048;
const TOKENS_A_CARD: u64 = 32_768;
/// Logits at once on a card, in f32.
const LOGITS: u64 = 4 * 2048 * 4096;
/// Mean tokens of Pythia's tokenizer in 2,048 bytes of enwik8, photographs and 16-bit speech.
const TOKENS: [(&str, f64); 3] = [("text", 576.0), ("image", 1486.0), ("speech", 1972.0)];
/// Tokens that the preset `paper` scores of a chunk at most.
const PAPER: f64 = 1024.0;

/// A model as far as it is known before it is fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// By its config.json.
    Shape(Shape),
    /// By the bytes of its weights, two for each.
    Bytes(u64),
}

impl Known {
    pub(super) fn weights(&self) -> u64 {
        match self {
            Self::Shape(shape) => shape.total(),
            Self::Bytes(bytes) => bytes / 2,
        }
    }

    pub(super) fn operations(&self, before: f64) -> f64 {
        match self {
            Self::Shape(shape) => shape.operations(before),
            Self::Bytes(bytes) => *bytes as f64,
        }
    }

    fn workspace(&self, tokens: u64) -> u64 {
        match self {
            Self::Shape(shape) => shape.workspace(tokens),
            // A little more than pythia-1.4b takes.
            Self::Bytes(_) => tokens * 64 * 1024,
        }
    }

    /// Mapped weights of two bytes, and what each thread works on.
    pub(super) fn memory(&self, threads: u64) -> u64 {
        2 * self.weights() + threads * self.workspace(TOKENS_A_THREAD)
    }

    /// Weights in the computation's format, and what a card works on at once.
    pub(super) fn card_memory(&self, dtype: &str) -> u64 {
        let bytes = if dtype == F32 { 4 } else { 2 };
        bytes * self.weights() + self.workspace(TOKENS_A_CARD) + LOGITS
    }
}

/// The cells of one model in one number format.
#[derive(Debug)]
pub(super) struct Cells {
    pub(super) model: Known,
    pub(super) dtype: String,
    pub(super) count: usize,
    /// Operations of all of them.
    pub(super) operations: f64,
}

/// Lines for each model among the nodes to be scored.
pub(crate) fn describe_scoring(session: &Session, nodes: &[NodeIndex], cores: usize) -> String {
    let mut models: BTreeMap<(Known, String), Cells> = BTreeMap::new();
    for index in nodes {
        if let Some((model, dtype, operations)) = work_of(session, *index) {
            let entry = models.entry((model.clone(), dtype.clone()));
            let cells = entry.or_insert(Cells {
                model,
                dtype,
                count: 0,
                operations: 0.0,
            });
            cells.count += 1;
            cells.operations += operations;
        }
    }
    if models.is_empty() {
        return String::new();
    }
    let rates = rates::measured(&session.cache);
    let cells = models.values();
    cells.map(|cells| cells.describe(&rates, cores)).collect()
}

impl Cells {
    pub(super) fn describe(&self, rates: &[Rate], cores: usize) -> String {
        let (count, parameters) = (self.count, millions(self.model.weights() as f64));
        let mut text =
            format!("score: {count} cells of a model of {parameters} parameters, each\n");
        if self.dtype == F32 {
            let memory = gigabytes(self.model.memory(cores as u64));
            let time = self.time(rates, Device::Core, cores);
            writeln!(text, "  on {cores} CPU cores: {memory} of memory, {time}")
                .expect("writing to a string does not fail");
        }
        let memory = gigabytes(self.model.card_memory(&self.dtype));
        let time = self.time(rates, Device::Card, 1);
        writeln!(text, "  on a GPU: {memory} of its memory, {time}")
            .expect("writing to a string does not fail");
        text
    }

    /// The minutes of one cell on so many devices, and on what they are based.
    fn time(&self, rates: &[Rate], device: Device, count: usize) -> String {
        // Those that take part for each token are what a rate was measured on.
        let weights = self.model.operations(0.0) / 2.0;
        let rate = rates::nearest(rates, device, &self.dtype, weights);
        let speed = rate.map_or(device.assumed(), |rate| rate.speed);
        let operations = self.operations / self.count as f64;
        let minutes = operations / (speed * count as f64) / 60.0;
        let basis = rate.map_or("assuming".to_owned(), |rate| {
            format!("as measured with {} weights:", millions(rate.weights))
        });
        let each = match device {
            Device::Core => " a core",
            Device::Card => "",
        };
        format!(
            "{minutes:.1} min ({basis} {:.0} Gflop/s{each})",
            speed / 1e9
        )
    }
}

fn millions(count: f64) -> String {
    format!("{:.1} M", count / 1e6)
}

/// The model of a node that scores one, the number format, and the operations for that.
fn work_of(session: &Session, index: NodeIndex) -> Option<(Known, String, f64)> {
    let graph = &session.pipeline.graph;
    let node = &graph.dag[index].work;
    if node.id().name != "score" {
        return None;
    }
    let (mut bytes, mut shape, mut chunks) = (0, None, Vec::new());
    for up in graph.ancestors(&[index]) {
        let work = &graph.dag[up].work;
        for fetch in work.fetches() {
            let entry = &session.pipeline.sources[&fetch.source];
            bytes += weight_bytes(entry);
            shape = shape.or_else(|| shape_of(entry));
        }
        if work.id().name == "chunk" {
            chunks.push(work.params());
        }
    }
    let model = match shape {
        Some(shape) => Known::Shape(shape),
        None => Known::Bytes(Some(bytes).filter(|bytes| *bytes > 0)?),
    };
    let params = node.params();
    let scored = chunks
        .iter()
        .map(|chunk| operations(&model, chunk, &params));
    let operations = scored.sum();
    let dtype = params["dtype"].as_str().unwrap_or(F32).to_owned();
    Some((model, dtype, operations))
}

/// The shape of a model whose config.json was fetched when it was looked up.
fn shape_of(entry: &SourceEntry) -> Option<Shape> {
    let Location::Hub(_) = &entry.location else {
        return None;
    };
    let config = cpipe_corpus::hub_file(entry, "config.json")?;
    Shape::read(&std::fs::read(config).ok()?)
}

fn weight_bytes(entry: &SourceEntry) -> u64 {
    let files = entry.locked.iter().flat_map(|locked| &locked.files);
    let is_weight = |name: &str| {
        let extension = Path::new(name).extension();
        extension.is_some_and(|e| e == "safetensors" || e == "bin")
    };
    let weights = files.filter(|(name, _)| is_weight(name));
    weights.map(|(_, file)| file.size).sum()
}

/// Operations for the chunks of a `chunk` stage under the protocols of a `score` stage.
pub(super) fn operations(model: &Known, chunk: &Value, score: &Value) -> f64 {
    let count = chunk["count"].as_f64().unwrap_or(0.0);
    let decoder = chunk["decode"].as_str().unwrap_or_default();
    let known = TOKENS.iter().find(|(name, _)| *name == decoder);
    let tokens = known.map_or(2048.0, |(_, tokens)| *tokens);
    let scored = |protocol: &Value| {
        let tokens = match protocol.as_str() {
            Some("paper") => tokens.min(PAPER),
            _ => tokens,
        };
        // On average a token has half of the others before it.
        count * tokens * model.operations(tokens / 2.0)
    };
    let protocols = score["protocols"].as_array();
    protocols.into_iter().flatten().map(scored).sum()
}
