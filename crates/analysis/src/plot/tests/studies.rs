//! Studies to draw.

use cpipe_data::fit_report::Convention;
use cpipe_data::law_report::{LawFit, LawRefusal, LawReport, Parameter, VERSION};
use cpipe_data::observations::Observation;

use crate::bootstrap::generator;
use crate::draws::{Draws, Kind};
use crate::plot::params::{FigureName, PlotParams, StyleName};
use crate::plot::stage::Plot;
use crate::plot::study::Study;
use crate::table::ChunkRatio;
use crate::testing::{self, observation};
use rand::RngExt;

pub(super) const ALL: [FigureName; 7] = FigureName::ALL;

pub(super) fn params(style: StyleName) -> PlotParams {
    let mut params: PlotParams = serde_json::from_value(serde_json::json!({})).expect("defaults");
    params.figures = ALL.to_vec();
    params.style = style;
    params
}

pub(super) fn plot(style: StyleName) -> Plot {
    Plot::new(params(style)).expect("parameters")
}

/// a, b, alpha, c, beta.
type Law = [f64; 5];
const NAMES: [&str; 5] = ["a", "b", "alpha", "c", "beta"];

pub(super) fn law_fit(group: (&str, &str), convention: Convention, law: Law, width: f64) -> LawFit {
    let parameter = |(name, value): (&str, f64)| Parameter {
        lo: value * (1.0 - width),
        hi: value * (1.0 + 2.0 * width),
        profile_lo: (value > 0.0).then_some(value * (1.0 - 0.8 * width)),
        profile_hi: (width < 0.5).then_some(value * (1.0 + 1.5 * width)),
        at_bound: value == 0.0 || value <= 0.001,
        ..testing::parameter(name, value)
    };
    LawFit {
        protocol: group.0.into(),
        modality: group.1.into(),
        convention,
        law: "additive".into(),
        formula: "a + b * P^-alpha + c * S^-beta".into(),
        method: "squares".into(),
        parameters: NAMES.into_iter().zip(law).map(parameter).collect(),
        covariance: None,
        n: 9,
        rss: 1e-4,
        r2: 0.9876,
        rmse: 0.00345,
        aicc: None,
        bic: None,
        leave_size_out: None,
        leave_last_step_out: None,
        sizes: (1e5, 1e7),
        steps: (64.0, 2048.0),
        tokens_per_step: Some(2048.0),
        bootstrap: 40,
        warnings: Vec::new(),
    }
}

fn refits(place: usize, fit: &LawFit) -> Draws {
    let mut random = generator(7, &[&fit.protocol, &fit.modality]);
    let rows = (0..40).map(|_| {
        let mut row: Vec<f64> = fit.parameters.iter().map(|p| p.value).collect();
        for value in &mut row {
            *value *= 0.98 + 0.04 * random.random::<f64>();
        }
        row.extend([0.98, 0.003]);
        row
    });
    Draws::of(place, fit, Kind::Bootstrap, rows.collect())
}

/// Cells that follow laws with a wiggle, chunks around them, and the laws as fits.
pub(super) fn study(
    protocols: &[&str],
    modalities: &[&str],
    models: &[(&str, f64)],
    steps: &[u64],
) -> Study {
    let mut study = empty();
    for protocol in protocols {
        for (m, modality) in modalities.iter().enumerate() {
            let law = [0.15 + 0.1 * m as f64, 2.0, 0.25 - 0.05 * m as f64, 1.5, 0.6];
            let fit = law_fit((protocol, modality), Convention::NonEmbedding, law, 0.3);
            study.draws.push(refits(study.laws.fits.len(), &fit));
            study.laws.fits.push(fit);
            for (i, (model, size)) in models.iter().enumerate() {
                for step in steps {
                    let [a, b, alpha, c, beta] = law;
                    let wiggle = 0.004 * (((i as u64 * 7 + step) % 5) as f64 - 2.0);
                    let ratio = a
                        + b * libm::pow(*size, -alpha)
                        + c * libm::pow(*step as f64, -beta)
                        + wiggle;
                    let cell = cell((protocol, modality), (model, *size), *step, ratio);
                    study.chunks.get_or_insert_default().extend(chunks(&cell));
                    study.cells.push(cell);
                }
            }
        }
    }
    study
}

fn empty() -> Study {
    Study {
        cells: Vec::new(),
        laws: LawReport {
            version: VERSION,
            fits: Vec::new(),
            refused: Vec::new(),
        },
        draws: Vec::new(),
        chunks: None,
        baselines: Vec::new(),
    }
}

fn cell(group: (&str, &str), model: (&str, f64), step: u64, ratio: f64) -> Observation {
    Observation {
        model: model.0.into(),
        params_nominal: None,
        protocol: group.0.into(),
        cr_lo: ratio - 0.012,
        cr_hi: ratio + 0.015,
        chunks: 16,
        ..observation(group.1, model.1 as u64, step, ratio)
    }
}

fn chunks(cell: &Observation) -> Vec<ChunkRatio> {
    let step = cell.step.to_string();
    let mut random = generator(3, &[&cell.protocol, &cell.modality, &cell.model, &step]);
    let of = |chunk| ChunkRatio {
        cell: (
            cell.protocol.clone(),
            cell.modality.clone(),
            cell.model.clone(),
            cell.step,
        ),
        chunk,
        ratio: cell.cr * (0.7 + 0.3 * (random.random::<f64>() + random.random::<f64>())),
    };
    (0..16).map(of).collect()
}

/// What the golden files show.
pub(super) fn small() -> Study {
    let models = [("m-100k", 1e5), ("m-1M", 1e6), ("m-10M", 1e7)];
    study(&["full"], &["text", "image"], &models, &[64, 512, 2048])
}

pub(super) fn pythia() -> Study {
    let models = [
        ("pythia-70m", 18_915_328.0),
        ("pythia-160m", 85_056_000.0),
        ("pythia-410m", 302_311_424.0),
        ("pythia-1b", 805_736_448.0),
        ("pythia-1.4b", 1_208_602_624.0),
    ];
    let steps = [1000, 8000, 32_000, 128_000, 143_000];
    let mut study = study(
        &["paper", "lossless"],
        &["text", "image", "speech"],
        &models,
        &steps,
    );
    let more: Vec<LawFit> = study
        .laws
        .fits
        .iter()
        .flat_map(|fit| {
            let group = (fit.protocol.as_str(), fit.modality.as_str());
            let bound = law_fit(group, Convention::Nominal, [0.3, 2.0, 0.001, 1.5, 0.9], 0.9);
            [
                bound,
                law_fit(group, Convention::Total, [0.3, 2.0, 0.4, 1.5, 0.5], 0.5),
            ]
        })
        .collect();
    study.laws.fits.extend(more);
    study
}

fn hand_made(cells: &[(u64, u64, f64)]) -> Study {
    let cell = |&(size, step, ratio): &(u64, u64, f64)| observation("text", size, step, ratio);
    Study {
        cells: cells.iter().map(cell).collect(),
        ..empty()
    }
}

impl Study {
    fn refused(mut self, reason: &str) -> Self {
        for cell in &self.cells {
            let (protocol, modality) = (cell.protocol.clone(), cell.modality.clone());
            if self.laws.refused.iter().all(|r| r.modality != modality) {
                self.laws.refused.push(LawRefusal {
                    protocol,
                    modality,
                    convention: Convention::NonEmbedding,
                    law: "additive".into(),
                    reason: reason.into(),
                });
            }
        }
        self.laws.fits.clear();
        self.draws.clear();
        self
    }
}

/// Studies that are not what figures are made for.
pub(super) fn odd() -> Vec<(&'static str, Study)> {
    let reason = "3 distinct values of step cannot determine its amplitude and exponent beside a, and \
                  3 distinct values of size cannot determine theirs, so that there is nothing to draw";
    let many: Vec<(u64, u64, f64)> = (1..=40)
        .flat_map(|s| (1..=14).map(move |m| (m * 1_000_000, s * 1000, 1.0 / (s + m) as f64)))
        .collect();
    let mut no_draws = small();
    no_draws.draws.clear();
    let mut no_chunks = small();
    no_chunks.chunks = None;
    let mut nameless = hand_made(&[(0, 10, 0.4), (0, 20, 0.3)]);
    for cell in &mut nameless.cells {
        cell.params_total = 0;
        cell.model = "<unknown> & \"co\"\u{7}".into();
    }
    let mut flat = small();
    for fit in &mut flat.laws.fits {
        *fit = law_fit(
            ("full", &fit.modality),
            fit.convention,
            [0.3, 0.0, 0.001, 0.0, 0.001],
            0.2,
        );
    }
    let mut nan = small();
    for parameter in nan.laws.fits.iter_mut().flat_map(|f| &mut f.parameters) {
        parameter.value = f64::NAN;
        parameter.hi = f64::INFINITY;
    }
    let mut broken = small();
    broken.laws.fits[0].formula = "a + b * Q^-alpha".into();
    let long: [&str; 5] = [
        "text",
        "image",
        "speech",
        "source code of all kinds",
        "genome",
    ];
    let models = [("a-model-with-a-long-name-410m", 4e8), ("b", 1e9)];
    vec![
        ("refused", small().refused(reason)),
        ("no-draws", no_draws),
        ("no-chunks", no_chunks),
        ("nameless", nameless),
        ("flat", flat),
        ("nan-fit", nan),
        ("broken-law", broken),
        ("single", hand_made(&[(70_000_000, 1000, 0.4)])),
        (
            "equal",
            hand_made(&[(1000, 10, 0.3), (2000, 10, 0.3), (1000, 20, 0.3)]),
        ),
        (
            "no-number",
            hand_made(&[(1000, 10, f64::NAN), (2000, 10, f64::INFINITY)]),
        ),
        (
            "step-zero",
            hand_made(&[(1000, 0, 1.2), (1000, 1, 1.1), (3000, 1, -0.9)]),
        ),
        (
            "far",
            hand_made(&[(1, 1, 1e-12), (u64::MAX / 2, u64::MAX, 1e12)]),
        ),
        ("many", hand_made(&many)),
        (
            "long",
            study(
                &["a-protocol-of-ones-own"],
                &long,
                &models,
                &[1000, 143_000],
            ),
        ),
    ]
}
