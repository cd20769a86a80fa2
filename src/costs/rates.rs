use cpipe_data::scores::ModelFacts;
use cpipe_engine::Cache;
use cpipe_engine::records::{self, NodeRecord, NodeState};

/// Operations a second that a core is taken to reach where nothing like it is on record: 890 tokens a
/// second on pythia-70m, with AVX-512 (bench/RESULTS.md).
pub(super) const ASSUMED: f64 = 80e9;
/// A measurement says something of models up to so many times smaller or larger.
const ALIKE: f64 = 16.0;
/// Nodes that are looked at, the latest first.
const MOST: usize = 2000;

/// How fast some model was scored on the CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    /// Weights that take part for each token.
    pub(super) weights: f64,
    /// Operations a second and thread.
    pub(super) speed: f64,
}

/// The rates of all cells that earlier runs with this cache scored.
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
    let report = &manifest.execution.report.facts;
    let number = |name: &str| report.get(name)?.as_f64();
    if report.get("device")? != "cpu" {
        return None;
    }
    let seconds = manifest.execution.seconds * number("threads")?;
    rate_of(&facts, number("tokens")?, seconds)
}

/// The rate at which a model took so many seconds of one thread for so many tokens.
pub(super) fn rate_of(facts: &ModelFacts, tokens: f64, seconds: f64) -> Option<Rate> {
    let embedding = facts.params_total - facts.params_non_embedding.min(facts.params_total);
    // Of the two embedding matrices only the output's takes part.
    let weights = facts.params_non_embedding as f64 + embedding as f64 / 2.0;
    let speed = 2.0 * weights * tokens / seconds;
    (speed.is_finite() && speed > 0.0).then_some(Rate { weights, speed })
}

/// The median of the rates of models of the size nearest to `weights`, if that is near enough.
pub(super) fn nearest(rates: &[Rate], weights: f64) -> Option<Rate> {
    let distance = |rate: &Rate| (rate.weights / weights).ln().abs();
    let least = rates.iter().map(distance).min_by(f64::total_cmp)?;
    let near = rates.iter().filter(|rate| distance(rate) <= least);
    let mut near: Vec<&Rate> = near.collect();
    near.sort_by(|a, b| a.speed.total_cmp(&b.speed));
    (least <= ALIKE.ln()).then(|| *near[near.len() / 2])
}
