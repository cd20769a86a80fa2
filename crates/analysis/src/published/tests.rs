use super::*;
use crate::table::{self, TableFormat};
use crate::testing;

const PAPER: &str = include_str!("../../../../assets/published/tables-2-3-4.csv");

fn stage(columns: &[(&str, &str)], constants: &[(&str, Value)]) -> Result<Table, (String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let constant = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
    let params = TableParams {
        source: "paper".into(),
        columns: columns.iter().map(owned).collect(),
        constants: constants.iter().map(constant).collect(),
    };
    let source = SourceFile {
        name: "source".into(),
        path: "paper.csv".into(),
        pin: None,
        keeps_name: false,
    };
    Table::new(params, source)
}

fn paper() -> Table {
    let constants = [("protocol", "paper".into()), ("chunks", 2048.into())];
    stage(&[("cr_mean", "cr")], &constants).expect("good parameters")
}

/// Runs the stage on `csv`; gives back the folder with its outputs.
fn run(table: &Table, csv: &str) -> Result<tempfile::TempDir, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("paper.csv");
    std::fs::write(&path, csv).expect("a file");
    let files = InputFiles::file("paper.csv", &path, false);
    let inputs = Inputs {
        sources: BTreeMap::from([("source".to_owned(), files)]),
        ..Inputs::default()
    };
    testing::run(table, &inputs, 1)
}

#[test]
fn the_papers_tables_become_cells() {
    let dir = run(&paper(), PAPER).expect("75 cells");
    let cells = table::read_cells(&dir.path().join("cells.parquet")).expect("a table");
    assert_eq!(cells.len(), 75);
    let last = &cells[24];
    let found = (last.model.as_str(), last.step, last.params_non_embedding);
    assert_eq!(found, ("pythia-1.4b", 143_000, 1_208_602_624));
    assert_eq!((last.cr_mean, last.chunks), (0.115, 2048));
    assert_eq!(last.params_nominal, Some(1.4e9));
    assert!(last.cr_std.is_nan());
    let mut json = Vec::new();
    table::convert(
        &dir.path().join("cells.parquet"),
        TableFormat::Json,
        &mut json,
    )
    .expect("JSON");
    let rows: Vec<Value> = serde_json::from_slice(&json).expect("JSON");
    for unknown in ["cr_std", "cr_lo", "tokens", "dropped", "floored"] {
        assert_eq!(rows[0][unknown], Value::Null, "{unknown}");
    }
    let text = std::fs::read_to_string(dir.path().join("cells.md")).expect("a table");
    let row = "| speech pythia-70m | 18915328 | 0.695 | 0.46 | 0.439 | 0.475 | 0.466 |";
    assert!(text.contains(row), "{text}");
}

#[test]
fn a_wrong_file_is_told_with_its_line() {
    let header = "modality,model,step,cr\n";
    let case = |rows: &str| run(&paper(), &format!("{header}{rows}")).expect_err("a mistake");
    let said = [
        case("text,m,1,x\n"),
        case("text,m,1,0.5\ntext,m,1.5,0.5\n"),
        case("text,m,1,0.5\ntext,m,1,0.6\n"),
        case("text,,1,0.5\n"),
        case("text,m,1\n"),
        case("text,m,1,inf\n"),
        case(""),
        run(&paper(), "model,step\n").expect_err("a mistake"),
        run(&stage(&[], &[]).expect("good"), header).expect_err("a mistake"),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn wrong_parameters_are_told() {
    let (field, message) = stage(&[("ratio", "x")], &[]).expect_err("no such column");
    assert_eq!(field, "columns.ratio");
    assert!(
        message.starts_with("the cells table has no column `ratio`; it has model,"),
        "{message}"
    );
    let twice = stage(&[("protocol", "x")], &[("protocol", "y".into())]);
    assert!(
        twice
            .expect_err("both")
            .1
            .contains("a column and a constant")
    );
    let list = stage(&[], &[("chunks", Value::Null)]);
    assert_eq!(list.expect_err("nothing").1, "expected a text or a number");
}

#[test]
fn a_measured_zero_stays_a_zero() {
    let csv = "model,step,modality,protocol,cr_mean,tokens,dropped\nm,1,text,full,0.5,7,0\n";
    let dir = run(&stage(&[], &[]).expect("good"), csv).expect("a cell");
    let written = std::fs::read_to_string(dir.path().join("cells.csv")).expect("a table");
    let row = written.lines().nth(1).expect("a row");
    assert!(row.ends_with(",7,0,0,0,0"), "{row}");
}
