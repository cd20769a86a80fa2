//! `cpipe run --only`: from the cache alone.

use crate::env::{TestEnv, assert_shown};

/// A study whose weights and data are gone.
fn bare_study() -> TestEnv {
    let env = TestEnv::warm_study();
    env.remove("assets");
    env
}

#[test]
fn fit_and_plot_work_without_weights_and_data() {
    let env = bare_study();
    let before = env.files("outputs");
    env.remove("outputs");
    for stage in ["fit", "plot"] {
        env.run(&["--only", stage]).assert_executed(&[]);
    }
    let after = env.files("outputs");
    assert_eq!(after.len(), 30, "fits and figures, not the cells");
    assert!(after.iter().all(|(name, content)| before[name] == *content));
}

#[test]
fn fit_and_plot_run_with_other_parameters_without_weights_and_data() {
    let env = bare_study();
    let changed = ["--set", "stages.fit.run.fit.bootstrap=60"];
    let only = |stage| env.run(&[&["--only", stage], changed.as_slice()].concat());
    only("fit").assert_executed(&["fit"]);
    only("plot").assert_executed(&["plot"]);
    only("plot").assert_executed(&[]);
    env.run(&["--only", "plot", "--force", "plot"])
        .assert_executed(&["plot"]);
}

#[test]
fn a_whole_run_needs_no_sources_either_while_everything_is_cached() {
    bare_study().run(&[]).assert_executed(&[]);
}

#[test]
fn an_input_that_is_not_cached_is_named_with_what_makes_it() {
    let env = TestEnv::commands();
    let output = env.cpipe(&["run", "--only", "join"]);
    assert_shown!(env, output);
    assert!(env.files("outputs").is_empty());
}
