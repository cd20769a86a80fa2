//! The stage from files to files.

use cpipe_data::fit_report::{Convention, Estimate, Fit, FitReport};
use cpipe_engine::Stage;
use tempfile::TempDir;

use super::studies::{params, small};
use crate::plot::Plot;
use crate::plot::params::{FigureName, Format, StyleName};
use crate::table;
use crate::testing::{inputs, run};

fn cells() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let files = ["cells.parquet", "cells.csv"].map(|name| dir.path().join(name));
    table::write_cells(&small().cells, &files[0], &files[1]).expect("cells");
    dir
}

fn fits() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let study = small();
    study
        .laws
        .write(&dir.path().join("laws.json"))
        .expect("laws");
    table::write_draws(&study.draws, &dir.path().join("draws.parquet")).expect("draws");
    dir
}

fn names(dir: &TempDir) -> Vec<String> {
    let files = std::fs::read_dir(dir.path()).expect("a folder");
    let names = files.map(|f| {
        f.expect("a file")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn it_writes_what_it_declares_whatever_the_threads() {
    let mut params = params(StyleName::Paper);
    params.figures = vec![FigureName::Curves, FigureName::Law, FigureName::Chunks];
    params.formats = vec![Format::Svg, Format::Pdf];
    let stage = Plot::new(params).expect("parameters");
    let (cells, fits) = (cells(), fits());
    let inputs = inputs(&[("cells", &cells), ("fits", &fits)]);
    let (one, three) = (run(&stage, &inputs, 1), run(&stage, &inputs, 3));
    let (one, three) = (one.expect("drawn"), three.expect("drawn"));
    let declared = stage.outputs().into_iter().map(|output| output.name);
    let mut declared: Vec<String> = declared.collect();
    declared.sort();
    assert_eq!(names(&one), declared);
    for name in declared {
        let read = |dir: &TempDir| std::fs::read(dir.path().join(&name)).expect("a file");
        assert!(read(&one) == read(&three), "{name}");
    }
}

/// A pipeline that connects `fit:fits.json` alone.
#[test]
fn rows_of_fits_json_are_enough_for_a_law() {
    let estimate = |value| Estimate {
        value,
        lo: 0.9 * value,
        hi: 1.1 * value,
        at_bound: false,
    };
    let fit = Fit {
        protocol: "full".into(),
        modality: "text".into(),
        convention: Convention::NonEmbedding,
        a: estimate(0.15),
        b: estimate(2.0),
        c: estimate(1.5),
        alpha: estimate(0.25),
        beta: estimate(0.6),
        r2: 0.99,
        rmse: 0.01,
        n: 9,
        bootstrap: 10,
        warnings: Vec::new(),
    };
    let report = FitReport {
        version: cpipe_data::fit_report::VERSION,
        fits: vec![fit],
        refused: Vec::new(),
    };
    let (cells, fits) = (cells(), tempfile::tempdir().expect("a folder"));
    report.write(&fits.path().join("fits.json")).expect("fits");
    let inputs = inputs(&[("cells", &cells), ("fits", &fits)]);
    let stage = Plot::new(params(StyleName::Dark)).expect("parameters");
    let drawn = run(&stage, &inputs, 2).expect("drawn");
    let law = std::fs::read_to_string(drawn.path().join("law.svg")).expect("a figure");
    assert!(law.contains("CR = 0.150 + 2.00"), "the law is named");
    assert!(
        law.contains("no fit with P non-embedding"),
        "image has none"
    );
}

#[test]
fn a_fit_that_is_none_says_what_to_connect() {
    let (cells, empty) = (cells(), tempfile::tempdir().expect("a folder"));
    let inputs = inputs(&[("cells", &cells), ("fits", &empty)]);
    let stage = Plot::new(params(StyleName::Paper)).expect("parameters");
    let said = run(&stage, &inputs, 1).expect_err("no fits");
    assert_eq!(said, "the input `fits` has neither laws.json nor fits.json");
}
