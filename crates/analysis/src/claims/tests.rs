#![allow(clippy::unwrap_used, reason = "tests")]

use cpipe_data::claims::{Claim, ClaimReport, Status};
use cpipe_data::fit_report::Convention;
use cpipe_data::law_report::{LawFit, LawRefusal, LawReport, VERSION};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Verify;
use crate::draws::{Draws, Kind};
use crate::table;
use crate::testing::{self, observation, parameter};

fn fit(modality: &str, alpha: f64) -> LawFit {
    LawFit {
        protocol: "full".into(),
        modality: modality.into(),
        convention: Convention::NonEmbedding,
        law: "additive".into(),
        formula: "a + P^-alpha".into(),
        method: "squares".into(),
        parameters: vec![parameter("a", 0.25), parameter("alpha", alpha)],
        covariance: None,
        n: 4,
        rss: 0.0,
        r2: 0.96,
        rmse: 0.01,
        aicc: None,
        bic: Some(3.0),
        leave_size_out: None,
        leave_last_step_out: None,
        sizes: (10.0, 20.0),
        steps: (1.0, 2.0),
        tokens_per_step: None,
        bootstrap: 3,
        warnings: Vec::new(),
    }
}

/// Cells, fits and refits: α of text is 0.5 (0.4 to 0.6), of image 1 (0.9 to 1.1).
fn study() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let ratios = [
        ("text", 10, 1, 0.5),
        ("text", 20, 1, 0.4),
        ("text", 10, 2, 0.3),
        ("text", 20, 2, 0.35),
    ];
    let cells = ratios.map(|(m, p, s, y)| observation(m, p, s, y));
    table::write_cells(&cells, &path("cells.parquet"), &path("cells.csv")).unwrap();
    let fits = vec![fit("text", 0.5), fit("image", 1.0)];
    let draws = |place: usize| {
        let alpha = fits[place].parameters[1].value;
        let rows = (0..=40).map(|i| vec![0.25, alpha - 0.1 + 0.005 * f64::from(i), 0.96, 0.01]);
        Draws::of(place, &fits[place], Kind::Bootstrap, rows.collect())
    };
    table::write_draws(&[draws(0), draws(1)], &path("draws.parquet")).unwrap();
    let refused = vec![LawRefusal {
        protocol: "full".into(),
        modality: "speech".into(),
        convention: Convention::NonEmbedding,
        law: "additive".into(),
        reason: "3 cells cannot determine 5 parameters and their error".into(),
    }];
    let report = LawReport {
        version: VERSION,
        fits,
        refused,
    };
    report.write(&path("laws.json")).unwrap();
    dir
}

fn verify(claims: Value, fail: bool) -> Result<TempDir, String> {
    let dir = study();
    let params = json!({ "claims": claims, "fail": fail });
    let stage = Verify::new(serde_json::from_value(params).unwrap(), Vec::new()).unwrap();
    let inputs = testing::inputs(&[("cells", &dir), ("fits", &dir)]);
    testing::run(&stage, &inputs, 1)
}

/// Adds a text to each claim and gives back the verdicts.
fn verdicts(claims: &[Value]) -> Vec<Claim> {
    let named = claims.iter().map(|claim| {
        let mut claim = claim.clone();
        claim["text"] = claim["value"].clone();
        claim
    });
    let dir = verify(named.collect(), false).unwrap();
    ClaimReport::read(&dir.path().join("claims.json"))
        .unwrap()
        .claims
}

#[test]
fn values_of_fits_cells_and_formulas_are_found() {
    let cases = [
        ("text.alpha", 0.5),
        ("image.alpha - text.non_embedding.additive.full.alpha", 0.5),
        ("max(text.alpha, image.alpha, 0.1)", 1.0),
        ("text.r2 * 100", 96.0),
        ("text.bic", 3.0),
        ("text.cr(16, 1)", 0.5),
        ("min(cr_mean)", 0.3),
        ("mean(cr_mean)", 0.3875),
        ("count(cr_mean < 0.45)", 3.0),
        ("sum(cr_mean > 0.45)", 1.0),
        ("max(log(S) + params_total)", 40.693_147_180_559_95),
        ("rises(cr_mean, P)", 1.0),
        ("rises(cr_mean, S)", 0.0),
        ("2^-1 + sqrt(abs(-4))", 2.5),
    ];
    let claims = cases.map(|(value, found)| json!({ "value": value, "expected": found, "tolerance": 1e-9, "interval": "none" }));
    for (claim, (_, expected)) in verdicts(&claims).iter().zip(cases) {
        assert!(
            claim.found.is_some_and(|f| (f - expected).abs() < 1e-9),
            "{claim:?}"
        );
        assert_eq!(claim.status, Status::Holds, "{claim:?}");
    }
}

#[test]
fn a_scope_says_which_fit_and_cells() {
    let claims = [
        json!({ "value": "alpha", "for": { "modality": "image" }, "expected": 1, "interval": "none" }),
        json!({ "value": "max(cr_mean)", "for": { "step": 2, "model": "m20" }, "expected": 0.35 }),
    ];
    for claim in verdicts(&claims) {
        assert_eq!(claim.status, Status::Holds, "{claim:?}");
    }
}

#[test]
fn the_interval_over_refits_decides() {
    use Status::{CannotBeTold, Fails, Holds};
    let cases = [
        (json!({ "value": "text.alpha", "above": 0.35 }), Holds),
        (
            json!({ "value": "text.alpha", "above": 0.45 }),
            CannotBeTold,
        ),
        (json!({ "value": "text.alpha", "above": 0.7 }), Fails),
        (
            json!({ "value": "text.alpha", "expected": 0.5, "tolerance": 0.01 }),
            CannotBeTold,
        ),
        (
            json!({ "value": "text.alpha", "expected": 0.5, "tolerance": 0.2 }),
            Holds,
        ),
        // Refits are paired: the difference has no spread here.
        (
            json!({ "value": "image.alpha - text.alpha", "expected": 0.5, "tolerance": 1e-6 }),
            Holds,
        ),
    ];
    let claims = cases.clone().map(|(claim, _)| claim);
    for (claim, (_, expected)) in verdicts(&claims).iter().zip(cases) {
        assert_eq!(claim.status, expected, "{claim:?}");
        assert_eq!(claim.interval, "bootstrap");
    }
    let alpha = &verdicts(&claims)[0];
    // Percentiles of 41 values from 0.4 to 0.6.
    assert!((alpha.lo.unwrap() - 0.405).abs() < 1e-9 && (alpha.hi.unwrap() - 0.595).abs() < 1e-9);
}

#[test]
fn what_cannot_be_computed_says_why() {
    let values = [
        "speech.alpha",
        "text.aicc",
        "min(cr_std)",
        "min(tokens)",
        "log(-1)",
        "text.alpha / 0",
    ];
    let mut claims: Vec<Value> = values
        .map(|value| json!({ "value": value, "above": 0 }))
        .to_vec();
    claims.push(json!({ "value": "text.alpha", "above": 0, "interval": "rounding" }));
    claims.push(json!({ "value": "alpha", "for": { "modality": "speech" }, "above": 0 }));
    claims.push(json!({ "value": "min(cr_mean)", "for": { "modality": "image" }, "above": 0 }));
    let said: Vec<String> = verdicts(&claims)
        .iter()
        .map(|claim| {
            assert_eq!(
                (claim.status, claim.found),
                (Status::CannotBeTold, None),
                "{claim:?}"
            );
            format!("{}: {}", claim.value, claim.reason.as_ref().unwrap())
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_is_nowhere_is_a_mistake() {
    let formulas = [
        "alpha",
        "text.gamma",
        "tex.alpha",
        "min(size)",
        "sin(1)",
        "min(sin(cr_mean))",
        "rises(cr_mean, D)",
    ];
    let claims = formulas.map(|value| json!({ "text": value, "value": value, "above": 0 }));
    insta::assert_snapshot!(verify(claims.as_slice().into(), false).unwrap_err());
}

#[test]
fn a_typo_in_the_scope_is_a_mistake() {
    let claims = json!([
        { "text": "one", "value": "alpha", "for": { "modality": "txt" }, "above": 0 },
        { "text": "two", "value": "text.alpha", "above": 0 },
        { "text": "three", "value": "min(cr_mean)", "for": { "modality": "text", "step": 7 }, "above": 0 },
    ]);
    insta::assert_snapshot!(verify(claims, false).unwrap_err());
}

#[test]
fn the_table_is_for_people_and_a_failed_claim_can_fail_the_run() {
    let claims = json!([
        { "text": "α of text, 0.3 | 0.7", "source": "table 1", "value": "text.alpha", "expected": 0.5, "tolerance": 0.2 },
        { "text": "larger is better", "value": "rises(cr_mean, P)", "expected": 0 },
        { "text": "small spread", "value": "max(cr_std)", "below": 0.01 },
    ]);
    let dir = verify(claims.clone(), false).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    insta::assert_snapshot!([read("claims.md"), read("claims.csv"), read("claims.tex")].join("\n"));
    insta::assert_snapshot!(verify(claims.clone(), true).unwrap_err());
    let good = json!([claims[0], claims[2]]);
    assert!(
        verify(good, true).is_ok(),
        "what cannot be told is no failure"
    );
}

#[test]
fn wrong_claims_are_told_with_their_place() {
    let said = [
        json!({ "claims": [] }),
        json!({ "claims": [{ "text": "x", "value": "1 +", "above": 0 }] }),
        json!({ "claims": [{ "text": "x", "value": "1", "above": 0 }, { "text": "x", "value": "1" }] }),
        json!({ "claims": [{ "text": "x", "value": "1", "above": 0, "below": 1 }] }),
        json!({ "claims": [{ "text": "x", "value": "1", "expected": 0, "tolerance": -1 }] }),
        json!({ "claims": [{ "text": "x", "value": "1", "tolerance": 1 }] }),
    ]
    .map(|params| {
        let params = serde_json::from_value(params).unwrap();
        let (field, message) = Verify::new(params, Vec::new()).unwrap_err();
        format!("{field}: {message}")
    });
    insta::assert_snapshot!(said.join("\n"));
}
