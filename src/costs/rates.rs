use cpipe_data::scores::ModelFacts;
use cpipe_engine::Cache;
use cpipe_engine::records::{self, NodeRecord, NodeState};

/// A measurement says something of models up to so many times smaller or larger.
const ALIKE: f64 = 16.0;
/// Nodes that are looked at, the latest first.
const MOST: usize = 2000;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// One core.
    Core,
    /// One card.
    Card,
}

impl Device {
    /// Operations a second that it is taken to reach where nothing like it is on record. Of a core
    /// 890 tokens a second on pythia-70m, with AVX-512 (bench/RESULTS.md); of a card nothing was
    /// measured for it.
    pub(super) fn assumed(self) -> f64 {
        match self {
            Self::Core => 80e9,
            Self::Card => 20e12,
        }
    }

    /// As the `score` stage reports it.
    fn named(name: &str) -> Option<Self> {
        match name {
            "cpu" => Some(Self::Core),
            "cuda" => Some(Self::Card),
            _ => None,
        }
    }
}

/// How fast some model was scored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) device: Device,
    /// Number format of the computation.
    pub(super) dtype: String,
    /// Weights that take part for each token.
    pub(super) weights: f64,
    /// Operations a second.
    pub(super) speed: f64,
}

/// The rates of the cells that earlier runs with this cache scored.
pub(super) fn measured(cache: &Cache) -> Vec<Rate> {
    // What can't be read is not on record.
    let runs = records::runs(cache).unwrap_or_default();
    let nodes = runs.iter().rev().flat_map(|run| records::nodes(cache, run));
    let scored = nodes.filter(|node| node.state == NodeState::Executed);
    scored
        .filter(|node| node.report.facts.contains_key("tokens"))
        .take(MOST)
        .filter_map(|node| rate(cache, &node))
        .collect()
}

fn rate(cache: &Cache, node: &NodeRecord) -> Option<Rate> {
    let manifest = cache.actions.lookup(node.key?)?;
    let facts = manifest.outputs.get("model.json")?;
    let facts = std::fs::read(cache.blobs.path(facts.digest)).ok()?;
    let facts: ModelFacts = serde_json::from_slice(&facts).ok()?;
    let execution = &manifest.execution;
    let device = Device::named(execution.report.facts.get("device")?.as_str()?)?;
    let tokens = execution.report.facts.get("tokens")?.as_f64()?;
    let seconds = match device {
        Device::Core => execution.seconds * execution.threads as f64,
        Device::Card => execution.seconds,
    };
    rate_of(device, &facts, tokens, seconds)
}

/// The rate of what took so many seconds for so many tokens.
pub(super) fn rate_of(
    device: Device,
    facts: &ModelFacts,
    tokens: f64,
    seconds: f64,
) -> Option<Rate> {
    let embedding = facts
        .params_total
        .saturating_sub(facts.params_non_embedding);
    // Of the two embedding matrices only the output's takes part.
    let weights = facts.params_non_embedding as f64 + embedding as f64 / 2.0;
    let speed = 2.0 * weights * tokens / seconds;
    (speed.is_finite() && speed > 0.0).then(|| Rate {
        device,
        dtype: facts.dtype.clone(),
        weights,
        speed,
    })
}

/// The median of the rates of models of the size nearest to `weights`, if that is near enough.
pub(super) fn nearest<'r>(
    rates: &'r [Rate],
    device: Device,
    dtype: &str,
    weights: f64,
) -> Option<&'r Rate> {
    let same = rates
        .iter()
        .filter(|rate| rate.device == device && rate.dtype == dtype);
    let distance = |rate: &Rate| (rate.weights / weights).ln().abs();
    let least = same.clone().map(distance).min_by(f64::total_cmp)?;
    let mut near: Vec<&Rate> = same.filter(|rate| distance(rate) <= least).collect();
    near.sort_by(|a, b| a.speed.total_cmp(&b.speed));
    near.get(near.len() / 2)
        .copied()
        .filter(|_| least <= ALIKE.ln())
}
