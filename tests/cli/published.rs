//! The profile `published`: the paper's own numbers, fitted and judged.

use serde_json::Value;

use crate::env::{TestEnv, repository};

pub(crate) const ARGUMENTS: &[&str] = &["--profile", "published", "--set", "bootstrap=200"];

/// A folder that has nothing but the pipeline and the paper's tables.
pub(crate) fn published() -> TestEnv {
    let read = |name: &str| std::fs::read(repository().join(name)).unwrap();
    let env = TestEnv::of("");
    for name in [
        "pipeline.yaml",
        "assets/published/tables-2-3-4.csv",
        "assets/published/spread.csv",
    ] {
        env.write(name, read(name));
    }
    env
}

fn json(env: &TestEnv, name: &str) -> Value {
    serde_json::from_str(&env.read(&format!("outputs/published/{name}"))).unwrap()
}

#[test]
fn sources_of_cached_results_may_be_gone_also_beside_inputs_from_stages() {
    let env = published();
    env.run(ARGUMENTS).assert_done();
    env.remove("assets/published");
    let again = env.run(ARGUMENTS);
    assert_eq!(again.assert_done().cached.len(), 4);
}

#[test]
fn the_spelling_of_a_convention_in_tables_is_read_too_and_is_the_same_action() {
    let spelled = |name: &str| format!("stages.fit.run.fit.conventions=[{name}]");
    let env = published();
    let run = |name: &str| env.run(&[ARGUMENTS, &["fit", "--set", &spelled(name)]].concat());
    run("non_embedding").assert_done();
    run("non-embedding").assert_executed(&[]);
}

#[test]
fn the_published_profile_reproduces_table_1_and_judges_the_papers_claims() {
    let env = published();
    assert_eq!(env.run(ARGUMENTS).assert_done().executed.len(), 4);
    // The paper prints no single chunks, so that there is no figure of them.
    let figures = env.files("outputs/published/figures");
    assert_eq!(figures.len(), 6 * 3);
    assert!(!figures.contains_key("chunks.svg"));
    let fits = json(&env, "fits.json");
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
    let claims = json(&env, "claims.json");
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
