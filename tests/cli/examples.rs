//! The further studies in `examples/` run as they stand.

use crate::env::TestEnv;

/// The ratio of a cell in `cells.csv`.
fn ratio(csv: &str, model: &str, step: &str, protocol: &str) -> f64 {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let wanted = [("model", model), ("step", step), ("protocol", protocol)];
    let row = lines
        .find(|row| {
            wanted
                .iter()
                .all(|(column, value)| row[at(column)] == *value)
        })
        .unwrap();
    row[at("cr_mean")].parse().unwrap()
}

/// Six models, two protocols, compressors beside them. What the models were not trained for they compress
/// at least a little, and a real code is about as long as the ideal one.
#[track_caller]
fn assert_runs(name: &str) {
    let env = TestEnv::example(name);
    let file = format!("examples/{name}/pipeline.yaml");
    env.run(&["--file", &file]).assert_done();
    let cells = env.read(&format!("examples/{name}/outputs/cells.csv"));
    assert_eq!(cells.lines().count(), 1 + 6 * 2, "{cells}");
    for model in ["nano-25k", "nano-150k", "nano-793k"] {
        let of = |protocol| ratio(&cells, model, "2048", protocol);
        assert!((0.3..0.95).contains(&of("full")), "{cells}");
        assert!((of("lossless") / of("full") - 1.0).abs() < 0.05, "{cells}");
    }
    let baselines = env.read(&format!("examples/{name}/outputs/baselines.csv"));
    assert!(baselines.contains("gzip"), "{baselines}");
    let again = env.run(&["--file", &file]);
    again.assert_executed(&[]);
}

#[test]
fn source_code() {
    assert_runs("source-code");
}

#[test]
fn table() {
    assert_runs("table");
}

/// The best model of each modality, with the table's header in front.
#[test]
fn every_stage() {
    let env = TestEnv::every_stage();
    let file = "examples/every-stage/pipeline.yaml";
    env.run(&["--file", file]).assert_done();
    let best = env.read("examples/every-stage/outputs/best.csv");
    assert_eq!(best.lines().count(), 1 + 2, "{best}");
    for row in best.lines().skip(1) {
        assert!(row.starts_with("nano-150k,"), "{best}");
    }
    let claims = env.read("examples/every-stage/outputs/claims.csv");
    let verdicts = claims.lines().filter(|line| line.contains(",holds,"));
    assert_eq!(verdicts.count(), 3, "{claims}");
    env.run(&["--file", file]).assert_executed(&[]);
}
