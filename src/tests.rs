//! The shipped pipeline as its users meet it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use cpipe_engine::event::{Event, EventSink};
use cpipe_engine::run::{self, RunOptions};
use petgraph::graph::NodeIndex;
use serde_json::Value;

use crate::cli::PipelineArgs;
use crate::session::Session;

struct Silent;

impl EventSink for Silent {
    fn event(&self, _event: &Event<'_>) {}
}

/// Runs the profile `published` in a folder that has nothing but the file and the paper's tables.
fn published(folder: &Path) -> run::Summary {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let assets = folder.join("assets/published");
    std::fs::create_dir_all(&assets).unwrap();
    std::fs::copy(root.join("pipeline.yaml"), folder.join("pipeline.yaml")).unwrap();
    for name in ["tables-2-3-4.csv", "spread.csv"] {
        std::fs::copy(root.join("assets/published").join(name), assets.join(name)).unwrap();
    }
    let args = PipelineArgs {
        file: folder.join("pipeline.yaml"),
        profile: Some("published".into()),
        sets: vec![("bootstrap".into(), "200".into())],
        cache: Some(folder.join("cache")),
        rehash: false,
    };
    let session = Session::open(&args).unwrap();
    let workspace = session.workspace();
    let targets: Vec<NodeIndex> = session.select(&[]).unwrap();
    let options = RunOptions {
        jobs: 2,
        only: false,
        force: std::collections::BTreeSet::new(),
    };
    run::run(
        &workspace,
        &targets,
        &options,
        &AtomicBool::new(false),
        &Silent,
    )
    .unwrap()
}

fn json(folder: &Path, name: &str) -> Value {
    let path = folder.join("outputs/published").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_published_profile_reproduces_table_1_and_judges_the_papers_claims() {
    let dir = tempfile::tempdir().unwrap();
    let summary = published(dir.path());
    assert_eq!((summary.executed, summary.failed), (4, 0));
    let fits = json(dir.path(), "fits.json");
    // Least squares on the printed three-digit values with nominal sizes, to the digits given.
    let expected = [
        ("text", [0.0997, 75.9, 15.1, 0.393, 0.759, 0.9655]),
        ("image", [0.376, 1.18, 63.3, 0.135, 0.862, 0.912]),
        ("speech", [0.395, 9926.0, 109.3, 0.695, 0.852, 0.933]),
    ];
    let fits = fits["fits"].as_array().unwrap();
    for (modality, values) in expected {
        let fit = fits
            .iter()
            .find(|f| f["modality"] == modality && f["convention"] == "nominal");
        let fit = fit.unwrap();
        let names = ["a", "b", "c", "alpha", "beta"].map(|name| &fit[name]["value"]);
        for (found, expected) in names.into_iter().chain([&fit["r2"]]).zip(values) {
            let found = found.as_f64().unwrap();
            assert!(
                (found / expected - 1.0).abs() < 5e-3,
                "{modality}: {found} for {expected}"
            );
        }
    }
    let claims = json(dir.path(), "claims.json");
    let claims = claims["claims"].as_array().unwrap();
    let status = |text: &str| {
        let claim = claims
            .iter()
            .find(|c| c["text"].as_str().unwrap().starts_with(text));
        claim.unwrap_or_else(|| panic!("no claim {text}"))["status"]
            .as_str()
            .unwrap()
    };
    for (text, expected) in [
        ("text: a = 0.10", "holds"),
        ("text: α = 0.38", "cannot_be_told"),
        ("text: R² above 0.95", "holds"),
        ("image: R² above 0.95", "fails"),
        ("speech: R² above 0.95", "fails"),
        ("standard deviations below 0.01", "fails"),
        ("standard deviations fall with model size", "cannot_be_told"),
        (
            "text at 5B parameters and 200k steps: 0.115, by the printed coefficients",
            "fails",
        ),
        (
            "text has the strongest parameter scaling, by the fitted exponents",
            "fails",
        ),
        (
            "text: α is 5 times Kaplan's 0.076, with nominal sizes",
            "holds",
        ),
        (
            "text: α is 5 times Kaplan's 0.076, with non-embedding sizes",
            "fails",
        ),
    ] {
        assert_eq!(status(text), expected, "{text}");
    }
}
