//! The figures of the nano suite's reference numbers, and of less happy studies.

use cpipe_data::fit_report::{Convention, Estimate, Fit, FitReport, Refusal, VERSION};
use cpipe_data::observations::Observation;
use cpipe_engine::digest::Digest;
use resvg::tiny_skia::Pixmap;
use resvg::usvg::{Group, Node, Rect};
use serde_json::Value;

use super::data::Panels;
use super::render::{render, tree};
use super::stage::FIGURES;

const CELLS: &str = include_str!("../../../../assets/nano/eval_reference.csv");
const FITS: &str = include_str!("../../../../assets/nano/fit_reference.json");

/// A study to draw.
#[derive(Clone)]
struct Study {
    name: &'static str,
    cells: Vec<Observation>,
    report: FitReport,
}

fn observation(model: &str, size: u64, step: u64, group: (&str, &str), ratio: f64) -> Observation {
    Observation {
        model: model.into(),
        params_nominal: None,
        params_total: size + 50_000,
        params_non_embedding: size,
        step,
        modality: group.0.into(),
        protocol: group.1.into(),
        chunks: 64,
        cr: ratio,
        cr_mean: ratio,
        cr_std: 0.0,
        cr_sem: 0.0,
        cr_lo: ratio,
        cr_hi: ratio,
        cr_sum_ratio: ratio,
        bits_per_byte: ratio * 8.0,
        side_bits: 0.0,
        context_min: 1,
        context_mean: 100.0,
        tokens: 1,
        tokens_scored: 1,
        dropped: 0,
        nan: 0,
        floored: 0,
    }
}

/// The reference numbers, with normal 95 % intervals of the mean of 64 chunks.
fn nano() -> Study {
    let mut cells = Vec::new();
    for (protocol, column) in [("paper", 5), ("full", 7)] {
        for line in CELLS.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |i: usize| fields[i].parse::<f64>().expect("a number");
            let (size, step) = (number(1) as u64, number(2) as u64);
            let group = (fields[3], protocol);
            let mut cell = observation(fields[0], size, step, group, number(column));
            cell.cr_sem = number(column + 1) / 8.0;
            cell.cr_lo = cell.cr_mean - 1.96 * cell.cr_sem;
            cell.cr_hi = cell.cr_mean + 1.96 * cell.cr_sem;
            cells.push(cell);
        }
    }
    let fits: Value = serde_json::from_str(FITS).expect("the reference is JSON");
    let fits = fits.as_object().expect("by group");
    let report = report(fits.iter().map(|(group, fit)| {
        let (modality, protocol) = group.split_once('/').expect("modality/protocol");
        let names = ["a", "b", "c", "alpha", "beta", "r2"];
        fit_of(
            modality,
            protocol,
            names.map(|n| fit[n].as_f64().expect("a number")),
        )
    }));
    Study {
        name: "nano",
        cells,
        report,
    }
}

fn report(fits: impl Iterator<Item = Fit>) -> FitReport {
    FitReport {
        version: VERSION,
        fits: fits.collect(),
        refused: Vec::new(),
    }
}

fn fit_of(modality: &str, protocol: &str, [a, b, c, alpha, beta, r2]: [f64; 6]) -> Fit {
    let estimate = |value: f64| Estimate {
        value,
        lo: value,
        hi: value,
        at_bound: false,
    };
    Fit {
        protocol: protocol.into(),
        modality: modality.into(),
        convention: Convention::NonEmbedding,
        a: estimate(a),
        b: estimate(b),
        c: estimate(c),
        alpha: estimate(alpha),
        beta: estimate(beta),
        r2,
        rmse: 0.0,
        n: 25,
        bootstrap: 0,
        warnings: Vec::new(),
    }
}

impl Study {
    fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    fn only(mut self, keep: impl Fn(&Observation) -> bool) -> Self {
        self.cells.retain(keep);
        self
    }

    fn refuse(mut self, modality: &str, protocol: &str, reason: &str) -> Self {
        let of_group = |f: &Fit| f.modality == modality && f.protocol == protocol;
        self.report.fits.retain(|f| !of_group(f));
        self.report.refused.push(Refusal {
            protocol: protocol.into(),
            modality: modality.into(),
            convention: Convention::NonEmbedding,
            reason: reason.into(),
        });
        self
    }

    fn draw(&self) -> Vec<(&'static str, String)> {
        let panels = Panels::of(&self.cells, &self.report, None).expect("cells to draw");
        let draw = |f: &super::stage::Figure| (f.name, (f.draw)(&panels).expect("a figure"));
        FIGURES.iter().map(draw).collect()
    }
}

/// The grid of the paper's models with made-up ratios: five modalities, long names.
fn pythia() -> Study {
    let law = [0.1, 60.8, 14.2, 0.38, 0.75, 0.965];
    let sizes = [70e6, 160e6, 410e6, 1e9, 1.4e9];
    let models = [
        "pythia-70m",
        "pythia-160m",
        "pythia-410m",
        "pythia-1b",
        "pythia-1.4b",
    ];
    let modalities = ["text", "image", "speech", "source code", "genome"];
    let mut cells = Vec::new();
    for modality in modalities {
        for (model, size) in models.into_iter().zip(sizes) {
            for step in [1000, 8000, 32_000, 128_000, 143_000] {
                let [a, b, c, alpha, beta, _] = law;
                let ratio = a + b * libm::pow(size, -alpha) + c * libm::pow(step as f64, -beta);
                let group = (modality, "lossless");
                cells.push(observation(model, size as u64, step, group, ratio));
            }
        }
    }
    Study {
        name: "pythia",
        cells,
        report: report(modalities.iter().map(|m| fit_of(m, "lossless", law))),
    }
}

fn hand_made(name: &'static str, cells: &[(u64, u64, f64)]) -> Study {
    let cell = |&(size, step, ratio): &(u64, u64, f64)| {
        observation(&format!("m{size}"), size, step, ("text", "full"), ratio)
    };
    Study {
        name,
        cells: cells.iter().map(cell).collect(),
        report: report(std::iter::empty()),
    }
}

fn studies() -> Vec<Study> {
    let reason = "4 cells cannot determine five coefficients and their error";
    let long = "3 distinct values of step cannot determine its amplitude and exponent beside a, and \
                3 distinct values of size cannot determine theirs, so that there is nothing to draw";
    let flat = |law: [f64; 6]| {
        let mut study = nano().only(|c| c.modality == "text" && c.protocol == "full");
        study.report = report(std::iter::once(fit_of("text", "full", law)));
        study
    };
    let many: Vec<(u64, u64, f64)> = (1..=40)
        .flat_map(|s| (1..=14).map(move |m| (m * 1_000_000, s * 1000, 1.0 / (s + m) as f64)))
        .collect();
    vec![
        nano(),
        nano().only(|c| c.protocol == "full").named("one-protocol"),
        nano().only(|c| c.modality == "text").named("one-modality"),
        nano()
            .only(|c| c.modality == "text" && c.protocol == "full")
            .named("one-panel"),
        nano()
            .refuse("image", "full", reason)
            .refuse("speech", "full", long)
            .named("refused"),
        pythia(),
        hand_made("single", &[(70_000_000, 1000, 0.4)]),
        hand_made(
            "equal",
            &[(1000, 10, 0.3), (2000, 10, 0.3), (1000, 20, 0.3)],
        ),
        hand_made(
            "no-number",
            &[(1000, 10, f64::NAN), (2000, 10, f64::INFINITY)],
        ),
        hand_made(
            "step-zero",
            &[(1000, 0, 1.2), (1000, 1, 1.1), (3000, 1, 0.9)],
        ),
        hand_made("far", &[(1, 1, 1e-12), (u64::MAX / 2, u64::MAX, 1e12)]),
        hand_made("many", &many),
        flat([0.3, 0.0, 0.0, 0.001, 0.001, 0.0]).named("flat"),
        flat([0.0, 3.0, 0.0, 0.2, 0.3, 0.5]).named("size-only"),
        flat([f64::NAN; 6]).named("nan-fit"),
    ]
}

fn texts(group: &Group, found: &mut Vec<(String, Rect)>) {
    for node in group.children() {
        match node {
            Node::Text(text) => {
                let parts: String = text.chunks().iter().map(|c| c.text()).collect();
                found.push((parts.trim().to_owned(), text.abs_bounding_box()));
            }
            Node::Group(inner) => texts(inner, found),
            _ => {}
        }
    }
}

#[test]
fn no_text_is_clipped_or_overlaps_another() {
    for study in studies() {
        for (figure, svg) in study.draw() {
            let tree = tree(&svg).expect("valid SVG");
            let mut found = Vec::new();
            texts(tree.root(), &mut found);
            let at = format!("{figure} of {}", study.name);
            assert!(!found.is_empty(), "{at} has no text");
            for (i, (text, one)) in found.iter().enumerate() {
                let inside = one.left() >= 2.0
                    && one.top() >= 2.0
                    && one.right() <= tree.size().width() - 2.0
                    && one.bottom() <= tree.size().height() - 2.0;
                assert!(
                    inside,
                    "{at}: `{text}` is clipped: {one:?} in {:?}",
                    tree.size()
                );
                for (other_text, other) in &found[i + 1..] {
                    let apart = one.right() <= other.left() + 0.1
                        || other.right() <= one.left() + 0.1
                        || one.bottom() <= other.top() + 0.1
                        || other.bottom() <= one.top() + 0.1;
                    assert!(
                        apart,
                        "{at}: `{text}` overlaps `{other_text}`: {one:?} {other:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_same_study_gives_the_same_bytes() {
    for (figure, one) in FIGURES.iter().zip(nano().draw()) {
        let again = nano().draw();
        let other = &again.iter().find(|(name, _)| *name == figure.name);
        assert_eq!(Some(&one), *other);
        let first = render(figure.name, figure.caption, &one.1).expect("rendered");
        let second = render(figure.name, figure.caption, &one.1).expect("rendered");
        assert!(first.svg == second.svg && first.png == second.png);
    }
}

/// A change here means that the stage's version goes up.
#[test]
fn what_is_drawn_is_pinned() {
    let digests: Vec<String> = nano()
        .draw()
        .iter()
        .map(|(name, svg)| format!("{name} {}", Digest::of(svg.as_bytes())))
        .collect();
    insta::assert_snapshot!(digests.join("\n"), @"");
}

#[test]
fn files_need_no_font_and_have_the_page_s_size() {
    for study in studies() {
        for (figure, (_, drawn)) in FIGURES.iter().zip(study.draw()) {
            let files = render(figure.name, figure.caption, &drawn).expect("rendered");
            let at = format!("{} of {}", figure.name, study.name);
            assert!(drawn.contains("<text"), "{at}");
            for word in ["<text", "font-family", "NaN", "inf"] {
                assert!(!files.svg.contains(word), "{at} has {word}");
            }
            assert!(
                files.svg.contains("<title>") && files.svg.contains("<path"),
                "{at}"
            );
            let page = tree(&files.svg).expect("valid SVG").size();
            let png = Pixmap::decode_png(&files.png).expect("a PNG");
            let size = (png.width() as f32, png.height() as f32);
            assert_eq!(size, (page.width() * 2.0, page.height() * 2.0), "{at}");
            if let Some(folder) = std::env::var_os("CPIPE_FIGURES") {
                let path = std::path::Path::new(&folder);
                let name = format!("{}-{}", study.name, figure.name);
                std::fs::write(path.join(format!("{name}.png")), &files.png).expect("written");
                std::fs::write(path.join(format!("{name}.svg")), &files.svg).expect("written");
            }
        }
    }
}

#[test]
fn the_equation_and_the_refusal_are_on_the_figure() {
    let drawn = nano().refuse("image", "full", "too few cells").draw();
    let law = &drawn[0].1;
    assert!(law.contains("CR = 0.271 + 0.131 P⁻⁰·⁰⁶¹ + 0.892 S⁻⁰·⁵⁴⁰"));
    assert!(law.contains("R² = 0.987"));
    assert!(law.contains("no fit: too few cells"));
}

#[test]
fn without_a_size_there_is_nothing_to_draw() {
    let study = nano();
    let refused = Panels::of(&study.cells, &study.report, Some(Convention::Nominal));
    let error = refused.err().expect("no nominal size").to_string();
    assert_eq!(error, "there are no cells to draw: none has a nominal size");
    assert!(Panels::of(&[], &study.report, None).is_err());
}
