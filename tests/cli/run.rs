//! `cpipe run`: what it leaves behind, and what runs again after which change.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

use crate::env::{Run, TestEnv, repository};

const OUTPUTS: [&str; 38] = [
    "baselines.csv",
    "baselines.md",
    "baselines.tex",
    "cells.csv",
    "cells.md",
    "cells.parquet",
    "cells.tex",
    "chunks.parquet",
    "draws.parquet",
    "figures/chunks.pdf",
    "figures/chunks.png",
    "figures/chunks.svg",
    "figures/compute.pdf",
    "figures/compute.png",
    "figures/compute.svg",
    "figures/curves.pdf",
    "figures/curves.png",
    "figures/curves.svg",
    "figures/exponents.pdf",
    "figures/exponents.png",
    "figures/exponents.svg",
    "figures/grid.pdf",
    "figures/grid.png",
    "figures/grid.svg",
    "figures/law.pdf",
    "figures/law.png",
    "figures/law.svg",
    "figures/residuals.pdf",
    "figures/residuals.png",
    "figures/residuals.svg",
    "fits.csv",
    "fits.json",
    "fits.md",
    "fits.tex",
    "laws.csv",
    "laws.json",
    "laws.md",
    "laws.tex",
];

const CELLS: [&str; 20] = [
    "model",
    "params_nominal",
    "params_total",
    "params_non_embedding",
    "step",
    "modality",
    "protocol",
    "chunks",
    "cr_mean",
    "cr_std",
    "cr_sem",
    "cr_lo",
    "cr_hi",
    "cr_sum_ratio",
    "bits_per_byte",
    "tokens",
    "tokens_scored",
    "dropped",
    "nan",
    "floored",
];

/// Runs the study's `stages` with `extra` arguments and expects exactly these to run.
fn assert_ran(run: &Run, expected: &[&str]) {
    run.assert_executed(expected);
    assert_eq!(run.finished["executed"], expected.len());
    assert_eq!(run.finished["cached"], run.cached.len());
}

#[test]
fn a_first_run_leaves_every_promised_file() {
    let env = TestEnv::study();
    let run = env.run(&[]);
    run.assert_done();
    assert_eq!(run.executed.len(), 9 + 1 + 3 + 3 + 3 + 27 + 3 + 1 + 3);
    let files = env.files("outputs");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, OUTPUTS);
    assert!(files.values().all(|content| !content.is_empty()));
}

#[test]
fn the_tables_have_their_columns_and_a_row_per_cell() {
    let env = TestEnv::warm_study();
    let cells = env.read("outputs/cells.csv");
    let mut lines = cells.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert!(
        CELLS.iter().all(|column| header.contains(column)),
        "{header:?}"
    );
    assert_eq!(lines.count(), 27 * 2);
    let fits = env.read("outputs/fits.csv");
    let header: Vec<&str> = fits.lines().next().unwrap().split(',').collect();
    for column in [
        "protocol", "modality", "a", "b", "c", "alpha", "beta", "r2", "rmse", "n",
    ] {
        assert!(header.contains(&column), "{column} is not in {header:?}");
    }
    assert_eq!(fits.lines().count(), 1 + 6);
}

#[test]
fn a_device_that_is_not_there_is_refused_before_any_work() {
    let env = TestEnv::study();
    let output = env.cpipe(&["run", "--device", "cuda:99"]);
    output.assert_code(2);
    assert!(output.stderr.contains("--device cpu"), "{}", output.stderr);
    let output = env.cpipe(&["run", "--device", "gpu"]);
    output.assert_code(2);
    assert!(output.stderr.contains("cuda:N"), "{}", output.stderr);
    assert!(!env.path("outputs").exists());
}

#[test]
fn what_the_cpu_scored_stands_for_no_card() {
    let env = TestEnv::warm_study();
    let told = |device| {
        let output = env.cpipe(&[
            "why",
            "score[model=nano-25k,step=64,modality=text]",
            "--device",
            device,
        ]);
        output.assert_code(0);
        output.text().to_owned()
    };
    assert!(told("cpu").contains("up to date"), "{}", told("cpu"));
    assert!(told("cuda:0").contains("device"), "{}", told("cuda:0"));
    // Cached inputs need no card.
    env.run(&["--only", "fit"]).assert_done();
    let absent = env.run(&["--only", "fit", "--device", "cuda:0"]);
    assert_ne!(absent.code, 2, "{absent:?}");
}

#[test]
fn formats_of_16_bits_are_refused_without_a_card() {
    let env = TestEnv::study();
    let args = [
        "--device",
        "cpu",
        "--set",
        "stages.score.run.score.dtype=bf16",
    ];
    let run = env.run(&args);
    assert_eq!(run.code, 20);
    let failed: Vec<&String> = run.failed.values().collect();
    assert!(
        failed.iter().all(|e| e.contains("dtype bf16 needs a card")),
        "{failed:?}"
    );
    assert!(!failed.is_empty());
}

#[test]
fn the_last_line_of_json_sums_up() {
    let env = TestEnv::commands();
    let finished = env.run(&[]).finished;
    let keys: Vec<&String> = finished.as_object().unwrap().keys().collect();
    for key in ["event", "executed", "cached", "failed", "seconds"] {
        assert!(keys.iter().any(|k| *k == key), "{key} is not in {keys:?}");
    }
    assert_eq!(
        (&finished["executed"], &finished["cached"]),
        (&2.into(), &0.into())
    );
    assert!(finished["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_second_run_executes_nothing_and_says_so() {
    let env = TestEnv::warm_study();
    assert_ran(&env.run(&[]), &[]);
    let output = env.cpipe(&["run"]);
    output.assert_code(0);
    assert!(output.stdout.is_empty(), "stdout is data");
    let expected = "up to date: 0 executed, 53 cached, 0 failed";
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
}

#[test]
fn a_changed_fit_parameter_runs_fit_and_plot() {
    let env = TestEnv::warm_study();
    let run = env.run(&["--set", "stages.fit.run.fit.bootstrap=60"]);
    assert_ran(&run, &["fit", "plot"]);
}

#[test]
fn touched_sources_run_nothing() {
    let env = TestEnv::warm_study();
    let later = SystemTime::now() + Duration::from_secs(3600);
    for name in env.files("assets").keys() {
        let file = File::options()
            .append(true)
            .open(env.path("assets").join(name));
        let times = FileTimes::new().set_modified(later);
        file.unwrap().set_times(times).unwrap();
    }
    assert_ran(&env.run(&[]), &[]);
    assert_ran(&env.run(&["--rehash"]), &[]);
}

#[test]
fn a_changed_text_runs_the_text_cells_and_what_follows() {
    let env = TestEnv::warm_study();
    env.change("assets/nano/eval/text/kjv-1-ruth.txt", |text| {
        text[100] ^= 1;
    });
    env.cpipe(&["update", "eval/text"]).assert_code(0);
    let run = env.run(&[]);
    run.assert_done();
    let (cells, rest): (Vec<&String>, Vec<&String>) =
        run.executed.iter().partition(|node| node.contains('['));
    assert!(
        cells.iter().all(|node| node.contains("modality=text")),
        "{cells:?}"
    );
    assert_eq!(cells.len(), 4 + 9);
    assert_eq!(rest, ["aggregate", "baselines", "fit", "plot"]);
}

#[test]
fn a_changed_text_that_no_chunk_holds_stops_at_the_chunks() {
    let env = TestEnv::warm_study();
    env.change("assets/nano/eval/text/kjv-7-james.txt", |text| {
        text[100] ^= 1;
    });
    env.cpipe(&["update"]).assert_code(0);
    let changed = ["chunk[modality=text]", "corpus[modality=text]"];
    assert_ran(&env.run(&[]), &changed);
}

#[test]
fn reordered_keys_and_comments_run_nothing() {
    let env = TestEnv::warm_study();
    env.replace(
        "pipeline.yaml",
        "run: { tokenize: { mapping: mask7 } }",
        "# a comment\n    run:\n      tokenize:\n        mapping: 'mask7' # another",
    );
    env.replace(
        "pipeline.yaml",
        "bytes: 2048, count: \"${chunks}\"",
        "count: \"${chunks}\", bytes: 2_048"
            .replace('_', "")
            .as_str(),
    );
    let text = env.read("pipeline.yaml");
    let (head, sources) = text.split_once("\nsources:").unwrap();
    let reordered = format!("sources:{sources}\n# The end moved to the front.\n{head}\n");
    env.write("pipeline.yaml", reordered);
    assert_ran(&env.run(&[]), &[]);
}

#[test]
fn removed_outputs_come_back_without_running_anything() {
    let env = TestEnv::warm_study();
    let before = env.files("outputs");
    env.remove("outputs");
    assert_ran(&env.run(&[]), &[]);
    assert!(
        env.files("outputs") == before,
        "an output came back different"
    );
}

#[test]
fn force_runs_what_it_names_and_stops_at_equal_bytes() {
    let env = TestEnv::warm_study();
    assert_ran(&env.run(&["--force", "aggregate"]), &["aggregate"]);
    let run = env.run(&["--force", "score[model=nano-25k,step=64]"]);
    assert_eq!(run.executed.len(), 3, "{:?}", run.executed);
}

#[test]
fn a_selection_runs_what_it_needs_and_nothing_else() {
    let env = TestEnv::study();
    let run = env.run(&["tokenize[modality=text]"]);
    let expected = [
        "chunk[modality=text]",
        "corpus[modality=text]",
        "tokenize[modality=text]",
        "tokenizer",
    ];
    assert_ran(&run, &expected);
    assert!(env.files("outputs").is_empty());
}

#[test]
fn a_dry_run_changes_nothing() {
    let env = TestEnv::study();
    let output = env.cpipe(&["run", "--dry-run"]);
    output.assert_code(0);
    assert!(
        output
            .text()
            .ends_with("0 up to date, 53 would run or may have to\n")
    );
    assert!(env.files("outputs").is_empty());
    assert!(env.files("cache/v1/actions").is_empty());
    assert!(env.files("cache/v1/blobs").is_empty());
    assert_eq!(env.run(&[]).executed.len(), 53);
    let before = env.files("outputs");
    env.cpipe(&["run", "--dry-run", "--set", "bootstrap=60"])
        .assert_code(0);
    assert!(env.files("outputs") == before);
}

#[test]
fn another_profile_has_its_own_outputs() {
    let env = TestEnv::commands();
    let profiles =
        "\ndefault_profile: usual\nprofiles:\n  usual: {}\n  loud: { vars: { word: HELLO } }\n";
    env.write("pipeline.yaml", env.read("pipeline.yaml") + profiles);
    env.run(&[]).assert_done();
    env.run(&["--profile", "loud"]).assert_done();
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
    assert_eq!(
        env.read("outputs/loud/joined.txt"),
        "one\nHELLO\none\nHELLO\n"
    );
    assert_ran(&env.run(&[]), &[]);
}

#[test]
fn the_cache_and_the_pipeline_may_lie_elsewhere() {
    let (env, elsewhere) = (TestEnv::commands(), TestEnv::of(""));
    let file = env.path("pipeline.yaml");
    let cache = elsewhere.path("shared");
    let variables = [("CPIPE_CACHE", cache.to_str().unwrap())];
    let run = ["run", "--file", file.to_str().unwrap()];
    elsewhere.cpipe_with(&run, &variables).assert_code(0);
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
    assert!(env.files("cache").is_empty() && elsewhere.files("outputs").is_empty());
    assert!(!elsewhere.files("shared/v1/blobs").is_empty());
}

#[test]
fn every_source_of_the_repository_is_as_declared() {
    let env = TestEnv::of("");
    let pipeline = repository().join("pipeline.yaml");
    let file = ["--file", pipeline.to_str().unwrap(), "--cache", "cache"];
    let sources = ["weights", "tokenizer", "corpus"];
    let run = env.run(&[&file[..], &sources].concat());
    assert_eq!(run.assert_done().executed.len(), 25 + 1 + 3);
    let plan = env.cpipe(&[&["plan"], &file[..]].concat());
    let ending = "29 up to date, 88 would run or may have to\n";
    assert!(plan.text().ends_with(ending), "{}", plan.text());
}

#[test]
fn mistakes_on_the_command_line_are_usage_errors() {
    let env = TestEnv::commands();
    for args in [
        ["run", "--only"].as_slice(),
        &["run", "--jobs", "0"],
        &["run", "--set", "word"],
        &["run", "jion"],
        &["walk"],
    ] {
        env.cpipe(args).assert_code(2);
    }
    let output = env.cpipe(&["run", "jion"]);
    assert!(
        output.stderr.contains("did you mean `join`?"),
        "{}",
        output.stderr
    );
}
