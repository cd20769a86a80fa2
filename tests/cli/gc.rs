//! `cpipe gc`: frees what no run that is kept needs and what is cheap to make again.

use std::collections::BTreeMap;

use crate::env::TestEnv;

/// A change of the file leaves results that no last run needs.
fn commands_with_old_results() -> TestEnv {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    env.replace("pipeline.yaml", "word: hello", "word: bye");
    env.run(&[]).assert_done();
    env
}

/// Says of every result on record that it took so long.
fn take(env: &TestEnv, stage: &str, seconds: &str) {
    for (name, bytes) in env.files("cache/v1/actions") {
        let text = String::from_utf8(bytes).unwrap();
        if name.ends_with(".action.json") || !text.contains(&format!("\"node\": \"{stage}")) {
            continue;
        }
        let line = |line: &str| {
            if line.contains("\"seconds\":") {
                format!("    \"seconds\": {seconds},")
            } else {
                line.to_owned()
            }
        };
        let lines: Vec<String> = text.lines().map(line).collect();
        env.write(&format!("cache/v1/actions/{name}"), lines.join("\n"));
    }
}

fn blobs(env: &TestEnv) -> BTreeMap<String, Vec<u8>> {
    env.files("cache/v1/blobs")
}

#[test]
fn a_dry_run_says_what_it_would_free_and_why_and_frees_nothing() {
    let env = commands_with_old_results();
    take(&env, "make", "0.001");
    take(&env, "join", "0.002");
    let before = blobs(&env);
    let output = env.cpipe(&["gc", "--dry-run"]);
    output.assert_code(0);
    assert!(blobs(&env) == before);
    let text = output.text();
    for words in [
        "these runs keep their results:\n",
        " of pipeline.yaml, 2 results\n",
        "no run that stays needs these results, and they are cheap to make again: join 1, make 1\n",
        "would free: 2 results and 2 blobs, 0.0 MB; 0.0 MB stay\n",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn what_the_last_results_need_stays() {
    let env = commands_with_old_results();
    take(&env, "", "0.001");
    env.cpipe(&["gc"]).assert_code(0);
    assert_eq!(blobs(&env).len(), 2, "made.txt and joined.txt");
    env.remove("outputs");
    env.run(&[]).assert_executed(&[]);
    env.run(&["--set", "word=hello"])
        .assert_executed(&["join", "make"]);
}

#[test]
fn pipeline_files_profiles_and_settings_are_told_apart() {
    let env = TestEnv::commands();
    let profiles = "\nprofiles:\n  loud: { vars: { word: HELLO } }\n";
    env.write("pipeline.yaml", env.read("pipeline.yaml") + profiles);
    let trial = env
        .read("pipeline.yaml")
        .replace("word: hello", "word: trial");
    env.write("trial.yaml", trial);
    let asked: [&[&str]; 4] = [
        &[],
        &["--profile", "loud"],
        &["--set", "word=bye"],
        &["--file", "trial.yaml"],
    ];
    for args in asked {
        env.run(args).assert_done();
    }
    take(&env, "", "0.001");
    let said = env.cpipe(&["gc", "--dry-run"]);
    for words in [
        " of trial.yaml, 2 results",
        " of pipeline.yaml --set word=bye, 2 results",
        " of pipeline.yaml --profile loud, 2 results",
        " of pipeline.yaml, 2 results",
        "would free: 0 results",
    ] {
        assert!(said.text().contains(words), "{words}: {}", said.text());
    }
    let runs = env.cpipe(&["runs"]);
    assert!(runs.text().contains("  trial.yaml\n"), "{}", runs.text());
    env.cpipe(&["gc"]).assert_code(0);
    for args in asked {
        env.run(args).assert_executed(&[]);
    }
    env.cpipe(&["gc", "--no-sets"]).assert_code(0);
    env.run(&["--set", "word=bye"])
        .assert_executed(&["join", "make"]);
    for args in [asked[0], asked[1], asked[3]] {
        env.run(args).assert_executed(&[]);
    }
}

#[test]
fn what_is_small_and_was_dear_stays_with_the_records_of_what_it_rests_on() {
    let env = commands_with_old_results();
    take(&env, "make", "0.001");
    take(&env, "join", "1200");
    let said = env.cpipe(&["gc", "--dry-run"]);
    for words in [
        "results of other runs that took at least 2 s for each MB stay: join 1\n",
        "1 result that those were made from: the record stays, the bytes go\n",
        "would free: 0 results and 1 blobs",
    ] {
        assert!(said.text().contains(words), "{words}: {}", said.text());
    }
    env.cpipe(&["gc"]).assert_code(0);
    assert_eq!(blobs(&env).len(), 3);
    env.replace("pipeline.yaml", "word: bye", "word: hello");
    env.remove("data");
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read("outputs/joined.txt"), "one\nhello\none\nhello\n");
}

#[test]
fn copies_of_local_files_go_before_what_was_computed_from_them() {
    let env = TestEnv::of(
        "version: 1\nsources: { big: { path: big.bin } }\nstages:\n  big: { run: { download: { source: big } } }\n  \
         size:\n    needs: { big: big }\n    run: { command: { program: [sh, -c, \"wc -c < big/files/big.bin > size.txt\"], outputs: [size.txt] } }\n    export: .\n",
    );
    env.write("big.bin", vec![7; 3_000_000]);
    env.run(&[]).assert_done();
    let output = env.cpipe(&["gc", "--max-size", "1MB"]);
    let text = output.assert_code(0).text();
    assert!(
        text.contains(
            "over the budget: big:files, 3.0 MB (made from its source alone: only that can bring it back)"
        ),
        "{text}"
    );
    assert!(!text.contains("size:"), "{text}");
    env.remove("big.bin");
    env.remove("outputs");
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read("outputs/size.txt").trim(), "3000000");
}

/// What many small files occupy counts, not what they hold: they are quickly copied again.
#[test]
fn copies_of_many_small_files_go_before_what_was_dear() {
    let env = TestEnv::of(
        "version: 1\nsources: { small: { path: small } }\nstages:\n  small: { run: { download: { source: small } } }\n  \
         dear:\n    needs: { in: small }\n    run: { command: { program: [sh, -c, \"cat in/files/* > dear.txt; head -c 100000 /dev/urandom >> dear.txt\"], outputs: [dear.txt] } }\n",
    );
    for number in 0..200 {
        env.write(&format!("small/{number}"), number.to_string());
    }
    env.run(&[]).assert_done();
    // 0.8 s for 0.8 MB on disk, and 0.3 s for 0.1 MB.
    take(&env, "small", "0.8");
    take(&env, "dear", "0.3");
    let output = env.cpipe(&["gc", "--max-size", "102kB"]);
    let text = output.assert_code(0).text();
    assert!(text.contains("over the budget: small:files"), "{text}");
    assert!(!text.contains("dear:"), "{text}");
}

/// Makes a run's record what it is after `kill -9`: no end, no table.
fn kill(env: &TestEnv) {
    for (name, bytes) in env.files("cache/v1/runs") {
        let path = std::path::Path::new(&name);
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let mut record: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        record["state"] = "running".into();
        record["table"] = serde_json::Value::Null;
        env.write(&format!("cache/v1/runs/{name}"), record.to_string());
    }
}

#[test]
fn what_a_killed_run_finished_stays() {
    let env = TestEnv::commands();
    env.run(&["make"]).assert_executed(&["make"]);
    kill(&env);
    take(&env, "", "0.001");
    let said = env.cpipe(&["gc", "--dry-run"]);
    assert!(
        said.text().contains(" of pipeline.yaml, 1 result\n"),
        "{}",
        said.text()
    );
    env.cpipe(&["gc"]).assert_code(0);
    env.run(&[]).assert_executed(&["join"]);
}

#[test]
fn what_a_run_made_that_was_killed_before_the_last_whole_one_goes() {
    let env = TestEnv::commands();
    env.run(&[]).assert_done();
    kill(&env);
    env.replace("pipeline.yaml", "word: hello", "word: bye");
    env.run(&[]).assert_done();
    take(&env, "", "0.001");
    let said = env.cpipe(&["gc"]);
    assert!(
        said.text().starts_with("freed: 2 results"),
        "{}",
        said.text()
    );
    env.run(&[]).assert_executed(&[]);
}

#[test]
fn records_of_earlier_versions_are_read() {
    let env = commands_with_old_results();
    take(&env, "", "0.001");
    for (name, bytes) in env.files("cache/v1/runs") {
        let text = String::from_utf8(bytes).unwrap();
        if text.contains("\"file\":") {
            let lines = text.lines().filter(|line| !line.contains("\"file\":"));
            let lines: Vec<&str> = lines.collect();
            env.write(&format!("cache/v1/runs/{name}"), lines.join("\n"));
        }
    }
    let runs = env.cpipe(&["runs"]);
    assert!(
        runs.text()
            .contains("a pipeline file that is not on record"),
        "{}",
        runs.text()
    );
    let text = env.cpipe(&["gc"]);
    assert!(
        text.text().starts_with("freed: 2 results"),
        "{}",
        text.text()
    );
    env.run(&[]).assert_executed(&[]);
}

#[test]
fn nothing_is_freed_twice_and_a_study_stays_whole() {
    let env = TestEnv::warm_study();
    env.run(&["--set", "bootstrap=60"]).assert_done();
    env.run(&[]).assert_executed(&[]);
    env.cpipe(&["gc", "--no-sets"]).assert_code(0);
    let again = env.cpipe(&["gc", "--no-sets"]);
    assert!(
        again.text().starts_with("freed: 0 results and 0 blobs"),
        "{}",
        again.text()
    );
    env.run(&[]).assert_executed(&[]);
    env.cpipe(&["verify"]).assert_code(0);
    env.run(&["--only", "fit", "--only", "plot", "--force", "plot"])
        .assert_executed(&["plot"]);
}
