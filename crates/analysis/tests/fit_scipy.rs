//! The fit against SciPy's, on the nano suite, the paper's published values, and made-up data.
//! `make_fit_fixtures.py` made the fixtures.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use cpipe_analysis::fit::{FitOptions, fit_law};
use serde::Deserialize;

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

#[test]
fn the_optimum_is_scipys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fits.json");
    let fixtures: Fixtures = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(fixtures.cases.len() >= 9);
    for case in fixtures.cases {
        let fit = fit_law(&case.p, &case.s, &case.y, &FitOptions::default(), None);
        let name = &case.name;
        assert!(
            fit.rss <= case.rss * (1.0 + 1e-8) + 1e-16,
            "{name}: {} > {}",
            fit.rss,
            case.rss
        );
        for (p, s) in case.p.iter().zip(&case.s) {
            let expected = case.a + case.b * p.powf(-case.alpha) + case.c * s.powf(-case.beta);
            let found = fit.predict(*p, *s);
            assert!(
                (found - expected).abs() < 1e-6 * expected,
                "{name}: {found} for {expected}"
            );
        }
        let close =
            |found: f64, expected: f64| (found - expected).abs() <= 1e-4 * expected.abs() + 1e-9;
        assert!(
            close(fit.beta, case.beta),
            "{name}: beta {} for {}",
            fit.beta,
            case.beta
        );
        assert!(
            close(fit.alpha, case.alpha),
            "{name}: alpha {} for {}",
            fit.alpha,
            case.alpha
        );
    }
}
