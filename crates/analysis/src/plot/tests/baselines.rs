//! Compressors beside models.

use super::studies::{params, small};
use crate::plot::Plot;
use crate::plot::baselines;
use crate::plot::params::{FigureName, StyleName};
use crate::plot::scene::{Scene, Shape};

fn says(scene: &Scene, wanted: &str) -> usize {
    let texts = scene.shapes.iter().filter(|shape| match shape {
        Shape::Text(text) => text.text.contains(wanted),
        Shape::Path { .. } => false,
    });
    texts.count()
}

#[test]
fn the_best_one_stands_where_every_token_is_scored() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("baselines.csv");
    let rows = "modality,method,chunks,cr_mean,cr_std,cr_whole\ntext,gzip -9,16,0.44,0.02,0.3\n\
                text,xz -6,16,0.41,0.02,0.3\nimage,png,16,0.6,0.1,0.5\n";
    std::fs::write(&path, rows).expect("baselines");
    let mut study = small();
    study.baselines = baselines::read(&path).expect("they are read");
    for cell in &mut study.cells {
        cell.tokens = 100;
        cell.tokens_scored = if cell.modality == "text" { 100 } else { 60 };
    }
    let plot = Plot::new(params(StyleName::Paper)).expect("parameters");
    let scene = plot.scene(&plot.panels(&study), FigureName::Curves);
    // Against P and against S.
    assert_eq!(says(&scene, "dashed: xz -6 0.410"), 2);
    assert_eq!((says(&scene, "gzip"), says(&scene, "png")), (0, 0));
    assert_eq!(says(&scene, "the best classical compressor"), 1);
    let without = plot.scene(&plot.panels(&small()), FigureName::Curves);
    assert_eq!(says(&without, "compressor"), 0);
}

#[test]
fn a_ratio_that_is_none_is_told_with_its_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("baselines.csv");
    std::fs::write(&path, "modality,method,cr_mean\ntext,xz,small\n").expect("baselines");
    let error = baselines::read(&path).expect_err("no number").to_string();
    assert!(error.contains("line 2: `small` is not a ratio"), "{error}");
}
