//! Fits against SciPy's, and what is said where there is nothing to fit.
//! `tests/make_fit_fixtures.py` made the fixtures.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use cpipe_data::fit_report::FitReport;
use cpipe_data::law_report::LawReport;
use cpipe_data::observations::Observation;
use cpipe_data::scores::ChunkScore;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::Fit;
use super::method::{Loss, Method, Space};
use super::params::FitParams;
use super::problem::{Points, Problem};
use super::refits::Refits;
use crate::bootstrap::interval;
use crate::laws::Law;
use crate::table::{self, ChunkRow};
use crate::testing::{self, observation};

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    p: Vec<f64>,
    s: Vec<f64>,
    y: Vec<f64>,
    a: f64,
    b: f64,
    c: f64,
    alpha: f64,
    beta: f64,
    rss: f64,
}

fn fixture<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn method(loss: Loss, space: Space) -> Method {
    Method {
        loss,
        space,
        starts: 8,
        tolerance: 1e-12,
    }
}

fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance * expected.abs().max(1e-9)
}

#[test]
fn the_optimum_is_scipys_to_six_digits() {
    let fixtures: Fixtures = fixture("fits.json");
    assert!(fixtures.cases.len() >= 11);
    let law = Law::find("additive", &BTreeMap::new()).unwrap();
    for case in fixtures.cases {
        let points = Points {
            p: case.p,
            s: case.s,
            y: case.y,
            tokens_per_step: f64::NAN,
        };
        let mut problem = Problem::new(&law, &points, method(Loss::Squares, Space::Linear));
        let found = problem.solve(None);
        assert!(
            found.objective <= case.rss * (1.0 + 1e-9) + 1e-28,
            "{}",
            case.name
        );
        let expected = [case.a, case.b, case.alpha, case.c, case.beta];
        for ((parameter, found), expected) in
            law.parameters.iter().zip(&found.parameters).zip(expected)
        {
            let told = format!("{}: {} {found} for {expected}", case.name, parameter.name);
            assert!(close(*found, expected, 1e-6), "{told}");
        }
    }
}

#[derive(Deserialize)]
struct LawFixtures {
    tokens_per_step: f64,
    huber: f64,
    laws: Vec<LawCase>,
    bootstraps: Vec<BootstrapCase>,
}

#[derive(Deserialize)]
struct LawCase {
    group: String,
    law: String,
    loss: String,
    space: Space,
    objective: f64,
    parameters: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct BootstrapCase {
    group: String,
    refits: usize,
    quantiles: BTreeMap<String, [f64; 4]>,
}

/// The published values of one modality, with nominal sizes.
fn published(group: &str) -> Points {
    let fixtures: Fixtures = fixture("fits.json");
    let case = fixtures
        .cases
        .into_iter()
        .find(|c| c.name == group)
        .unwrap();
    Points {
        p: case.p,
        s: case.s,
        y: case.y,
        tokens_per_step: 2_097_152.0,
    }
}

#[test]
fn other_laws_losses_and_spaces_are_scipys_too() {
    let fixtures: LawFixtures = fixture("laws.json");
    assert_eq!(fixtures.tokens_per_step, 2_097_152.0);
    assert!(fixtures.laws.len() >= 6);
    for case in fixtures.laws {
        let law = Law::find(&case.law, &BTreeMap::new()).unwrap();
        let loss = match case.loss.as_str() {
            "huber" => Loss::Huber(fixtures.huber),
            _ => Loss::Squares,
        };
        let points = published(&case.group);
        let found = Problem::new(&law, &points, method(loss, case.space)).solve(None);
        let name = format!("{} {} {} {:?}", case.group, case.law, case.loss, case.space);
        assert!(
            close(found.objective, case.objective, 1e-8),
            "{name}: {found:?}"
        );
        for (parameter, found) in law.parameters.iter().zip(&found.parameters) {
            let expected = case.parameters[&parameter.name];
            let told = format!("{name}: {} {found} for {expected}", parameter.name);
            // The valley of Kaplan's law is flat along its scales, which are searched by factors.
            let tolerance = if parameter.min < 1e-20 && parameter.min > 0.0 {
                1e-4
            } else {
                2e-6
            };
            assert!(close(*found, expected, tolerance), "{told}");
        }
    }
}

#[test]
fn bootstrap_intervals_are_scipys_within_chance() {
    let fixtures: LawFixtures = fixture("laws.json");
    let law = Law::find("additive", &BTreeMap::new()).unwrap();
    for case in fixtures.bootstraps {
        let points = published(&case.group);
        let params: FitParams =
            serde_json::from_value(serde_json::json!({ "bootstrap": case.refits })).unwrap();
        let best = Problem::new(&law, &points, params.method()).solve(None);
        let refits = Refits {
            params: &params,
            law: &law,
            points: &points,
            best: &best,
            names: ["paper", &case.group, "Nominal"],
            chunks: None,
            threads: 2,
        };
        let draws = refits.bootstrap();
        for (name, [low, lower, upper, high]) in case.quantiles {
            let place = law.parameters.iter().position(|p| p.name == name).unwrap();
            let (lo, hi) = interval(draws.iter().map(|draw| draw[place]).collect());
            let told = format!(
                "{} {name}: {lo} in {low}..{lower}, {hi} in {upper}..{high}",
                case.group
            );
            // Nelder-Mead stands still 1e-4 before a bound.
            let within = |x: f64, a: f64, b: f64| {
                (a - 1e-4 * a.abs()..=b + 1e-4 * b.abs() + 1e-9).contains(&x)
            };
            assert!(within(lo, low, lower) && within(hi, upper, high), "{told}");
        }
    }
}

/// Fits by the stage itself.
fn fitted(cells: &[Observation], params: serde_json::Value, threads: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (parquet, csv) = (
        dir.path().join("cells.parquet"),
        dir.path().join("cells.csv"),
    );
    table::write_cells(cells, &parquet, &csv).unwrap();
    let stage = Fit::new(serde_json::from_value(params).unwrap()).unwrap();
    testing::run(&stage, &testing::inputs(&[("cells", &dir)]), threads).unwrap()
}

fn report(dir: &TempDir) -> LawReport {
    LawReport::read(&dir.path().join("laws.json")).unwrap()
}

const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const STEPS: [u64; 4] = [10, 100, 1000, 10_000];

fn grid(ratio: impl Fn(f64, f64) -> f64) -> Vec<Observation> {
    let cell = |p: u64, s: u64| observation("text", p, s, ratio(p as f64, s as f64));
    let cells = SIZES.iter().flat_map(|p| STEPS.map(|s| cell(*p, s)));
    cells.collect()
}

fn law(p: f64, s: f64) -> f64 {
    0.2 + 2.0 * p.powf(-0.3) + 0.8 * s.powf(-0.5)
}

/// `law` with errors that repeat: no generator, no chance.
fn noisy(p: f64, s: f64) -> f64 {
    law(p, s) + 0.002 * (7.0 * p.ln() + 3.0 * s.ln()).sin()
}

#[test]
fn what_cannot_be_fitted_is_said_and_no_number_given() {
    let refusal = |cells: Vec<Observation>| {
        let report = report(&fitted(&cells, json!({ "bootstrap": 10 }), 1));
        assert!(report.fits.is_empty(), "{:?}", report.fits);
        report.refused[0].reason.clone()
    };
    let with = |change: &dyn Fn(&mut Observation)| {
        let mut cells = grid(noisy);
        change(&mut cells[5]);
        cells
    };
    let of = |keep: &dyn Fn(&Observation) -> bool| {
        grid(noisy)
            .into_iter()
            .filter(|c| keep(c))
            .collect::<Vec<_>>()
    };
    let twice = |cells: &[Observation]| [cells, cells].concat();
    let said = [
        refusal(grid(noisy)[..5].to_vec()),
        refusal(twice(&of(&|c| c.params_non_embedding == 1000))),
        refusal(of(&|c| c.params_non_embedding < 50_000)),
        refusal(twice(&of(&|c| c.step == 10))),
        refusal(of(&|c| c.step < 1000)),
        refusal(with(&|c| c.cr = f64::NAN)),
        refusal(with(&|c| c.cr = -0.1)),
        refusal(with(&|c| c.step = 0)),
        refusal(with(&|c| c.params_non_embedding = 0)),
        refusal(grid(|_, _| 0.5)),
        refusal(grid(|p, _| 0.2 + 2.0 * p.powf(-0.3))),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn an_exponent_at_its_bound_is_told() {
    let steep = grid(|p, s| 0.2 + 2.0 * p.powf(-0.3) + 1e4 * s.powf(-4.5) + 0.001 * (p + s).sin());
    let report = report(&fitted(&steep, json!({ "bootstrap": 20 }), 1));
    let fit = &report.fits[0];
    let beta = fit.parameters.iter().find(|p| p.name == "beta").unwrap();
    assert!(
        beta.at_bound && beta.value == 3.0 && beta.stderr.is_none(),
        "{beta:?}"
    );
    for expected in ["beta stands at its bound 3", "beta stands at a bound in "] {
        let told = fit.warnings.iter().any(|w| w.starts_with(expected));
        assert!(told, "{:?}", fit.warnings);
    }
}

#[test]
fn equal_inputs_give_equal_bytes_whatever_the_threads() {
    let params = json!({ "bootstrap": 30, "resolution": 0.001, "laws": ["additive", "product"] });
    let files = |threads: usize| {
        let dir = fitted(&grid(noisy), params.clone(), threads);
        let names = ["fits.json", "laws.json", "laws.md", "draws.parquet"];
        names.map(|name| std::fs::read(dir.path().join(name)).unwrap())
    };
    assert_eq!(files(1), files(3));
}

#[test]
fn known_parameters_are_found_with_intervals_that_hold_them() {
    let params = json!({ "bootstrap": 200, "laws": ["additive", "product"] });
    let report = report(&fitted(&grid(noisy), params, 2));
    let [additive, product] = report.fits.as_slice() else {
        panic!("two laws were asked for");
    };
    let truth = [
        ("a", 0.2),
        ("b", 2.0),
        ("alpha", 0.3),
        ("c", 0.8),
        ("beta", 0.5),
    ];
    for (name, value) in truth {
        let p = additive.parameters.iter().find(|p| p.name == name).unwrap();
        assert!(
            p.profile_lo.unwrap() < value && value < p.profile_hi.unwrap(),
            "{p:?}"
        );
        // A profile interval is near value ± 2.2 standard errors where the law is near linear.
        let width = (p.profile_hi.unwrap() - p.profile_lo.unwrap()) / p.stderr.unwrap();
        assert!((3.0..6.0).contains(&width), "{p:?}");
        assert!(p.lo < p.value && p.value < p.hi);
    }
    // The true form wins by every criterion and predicts what it has not seen.
    assert!(additive.aicc.unwrap() < product.aicc.unwrap() - 10.0);
    assert!(additive.bic.unwrap() < product.bic.unwrap() - 10.0);
    assert!(additive.leave_size_out.unwrap() < 0.02);
    assert!(additive.leave_last_step_out.unwrap() < product.leave_last_step_out.unwrap());
}

#[test]
fn a_law_of_ones_own_is_fitted() {
    let ratio = |p: f64, s: f64| 0.3 + 0.5 * (-s / 700.0).exp() + p.powf(-0.4);
    let params = json!({
        "bootstrap": 5,
        "laws": ["mine"],
        "forms": { "mine": {
            "formula": "floor + drop * exp(-S / tau) + P^-alpha",
            "parameters": { "tau": { "min": 1, "max": 1e6 }, "alpha": { "min": 0.01, "max": 2, "start": 0.5 } }
        } },
    });
    let dir = fitted(&grid(ratio), params, 1);
    let fit = &report(&dir).fits[0];
    let names: Vec<&str> = fit.parameters.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["floor", "drop", "tau", "alpha"]);
    for (parameter, expected) in fit.parameters.iter().zip([0.3, 0.5, 700.0, 0.4]) {
        assert!(close(parameter.value, expected, 1e-6), "{parameter:?}");
    }
    let fits = FitReport::read(&dir.path().join("fits.json")).unwrap();
    assert!(fits.fits.is_empty() && fits.refused.is_empty());
}

#[test]
fn chunks_are_resampled_together() {
    let cells = grid(noisy);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    table::write_cells(&cells, &path("cells.parquet"), &path("cells.csv")).unwrap();
    // Every chunk lies by the same amount above or below its cell's mean.
    let scores: Vec<(Observation, Vec<ChunkScore>)> = cells
        .iter()
        .map(|c| {
            (
                c.clone(),
                [-0.02, -0.01, 0.01, 0.02]
                    .iter()
                    .enumerate()
                    .map(|(i, by)| chunk(i, c.cr_mean + by))
                    .collect(),
            )
        })
        .collect();
    let rows: Vec<ChunkRow<'_>> = scores
        .iter()
        .flat_map(|(c, scores)| {
            scores.iter().map(|score| ChunkRow {
                model: &c.model,
                step: c.step,
                modality: &c.modality,
                score,
            })
        })
        .collect();
    table::write_chunks(&rows, &path("chunks.parquet")).unwrap();
    let stage = |resample: &str| {
        let params = json!({ "bootstrap": 100, "resample": resample });
        Fit::new(serde_json::from_value(params).unwrap()).unwrap()
    };
    let inputs = testing::inputs(&[("cells", &dir), ("chunks", &dir)]);
    let fit = report(&testing::run(&stage("chunks"), &inputs, 2).unwrap())
        .fits
        .remove(0);
    // A common shift moves `a` and nothing else.
    let width = |name: &str| {
        let p = fit.parameters.iter().find(|p| p.name == name).unwrap();
        (p.hi - p.lo) / p.value
    };
    assert!(width("a") > 0.05, "{}", width("a"));
    assert!(width("beta") < 1e-3, "{}", width("beta"));
    let without = testing::inputs(&[("cells", &dir)]);
    let said = testing::run(&stage("chunks"), &without, 1).unwrap_err();
    assert!(said.contains("there is no input `chunks`"), "{said}");
}

fn chunk(number: usize, ratio: f64) -> ChunkScore {
    ChunkScore {
        protocol: "full".into(),
        chunk: number as u64,
        tokens: 1,
        tokens_scored: 1,
        raw_bytes: 1,
        bytes_covered: 1,
        context_min: 0,
        context_mean: 0.0,
        bits: 1.0,
        bits_first: 0.0,
        side_bits: 0.0,
        compressed_bits: 1.0,
        raw_bits: 8.0,
        cr: ratio,
        floored: 0,
        nan: 0,
        dropped: false,
        pooled: false,
    }
}

#[test]
fn wrong_parameters_are_told_with_their_place() {
    let cases = [
        json!({ "laws": [] }),
        json!({ "laws": ["aditive"] }),
        json!({ "laws": ["additive", "additive"] }),
        json!({ "laws": ["chinchilla"] }),
        json!({ "laws": ["mine"], "forms": { "mine": { "formula": "a + P^-x" } } }),
        json!({ "forms": { "mine": { "formula": "a + * P" } } }),
        json!({ "forms": { "mine": { "formula": "P + S" } } }),
        json!({ "forms": { "mine": { "formula": "a * sin(P)" } } }),
        json!({ "forms": { "mine": { "formula": "a * P < 3" } } }),
        json!({ "forms": { "mine": { "formula": "a * P", "parameters": { "b": {} } } } }),
        json!({ "bounds": { "gamma": [0, 1] } }),
        json!({ "bounds": { "alpha": [1, 1] } }),
        json!({ "loss": { "huber": 0 } }),
        json!({ "bootstrap": 0 }),
        json!({ "resolution": -1 }),
        json!({ "starts": 1 }),
        json!({ "conventions": [] }),
    ];
    let said = cases.map(|params| {
        let params: FitParams = serde_json::from_value(params).unwrap();
        let (field, message) = Fit::new(params).unwrap_err();
        format!("{field}: {message}")
    });
    insta::assert_snapshot!(said.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_cells_make_it_panic_or_write_a_number_without_meaning(
        rows in prop::collection::vec((0u64..6, 0u64..6, -3i32..40, prop::bool::weighted(0.02)), 0..30),
        law in prop::sample::select(vec!["additive", "product", "kaplan"]),
    ) {
        let cells: Vec<Observation> = rows
            .iter()
            .map(|(p, s, y, odd)| {
                let ratio = if *odd { f64::INFINITY } else { f64::from(*y) / 30.0 };
                observation("text", 10 * p.pow(9), s.pow(6), ratio)
            })
            .collect();
        let params = json!({ "laws": [law], "bootstrap": 3, "tokens_per_step": 10, "resolution": 0.01 });
        // Reading refuses what is no number.
        let report = report(&fitted(&cells, params, 1));
        prop_assert!(report.fits.len() + report.refused.len() <= 1);
    }
}
