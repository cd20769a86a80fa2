//! What becomes of a study that moves: with its cache it answers as before, without its sources.

use crate::env::{Output, TestEnv};

/// Sources that follow their content: a file, a folder for each model, and a file of a command.
const STUDY: &str = r#"version: 1
name: moved
vars: { word: hello }
matrix: { model: [a, b] }
sources:
  data: { path: data/in.txt }
  weights/${model}: { path: "models/${model}" }
stages:
  weights:
    over: [model]
    run: { download: { source: "weights/${model}" } }
  data:
    run: { download: { source: data } }
  same:
    run: { download: { source: data } }
  count:
    needs: { data: data, weights: weights }
    run:
      command:
        program: [sh, -c, "cat note.txt > count.txt; echo ${word} >> count.txt; cat data/files/in.txt weights/*/files/w.txt >> count.txt"]
        files: [note.txt]
        outputs: [count.txt]
    export: .
report: {}
"#;

const COMMANDS: [&[&str]; 10] = [
    &["plan"],
    &["status"],
    &["why", "count"],
    &["show", "count"],
    &["cat", "count:count.txt"],
    &["cat", "weights[model=b]:files/w.txt"],
    &["log", "count"],
    &["run", "--dry-run"],
    &["report"],
    &["run", "--only", "count", "--json"],
];

fn study_in(folder: &str, text: &str) -> TestEnv {
    let env = TestEnv::of("version: 1\n");
    for (name, content) in [
        ("pipeline.yaml", text),
        ("data/in.txt", "in\n"),
        ("models/a/w.txt", "weights of a\n"),
        ("models/b/w.txt", "weights of b\n"),
        ("note.txt", "a note\n"),
    ] {
        env.write(&format!("{folder}/{name}"), content);
    }
    env
}

fn ran_study() -> TestEnv {
    let env = study_in("study", STUDY);
    let ran = env.cpipe_in("study", &["run"]);
    ran.assert_code(0);
    assert!(!ran.stderr.contains("another"), "{}", ran.stderr);
    env
}

fn remove_sources(env: &TestEnv, folder: &str) {
    for source in ["data", "models", "note.txt"] {
        env.remove(&format!("{folder}/{source}"));
    }
}

fn move_to(env: &TestEnv, from: &str, to: &str) {
    std::fs::rename(env.path(from), env.path(to)).unwrap();
}

/// What the commands say, without the times of the run that they make.
fn answers(env: &TestEnv, folder: &str) -> Vec<(i32, String)> {
    let said = |output: Output| {
        let text = output
            .text()
            .split("\"seconds\"")
            .next()
            .unwrap()
            .to_owned();
        (output.code, text)
    };
    let answer = |command: &&[&str]| said(env.cpipe_in(folder, command));
    COMMANDS.iter().map(answer).collect()
}

#[test]
fn a_moved_study_answers_as_before_without_its_sources() {
    let env = ran_study();
    let (before, outputs) = (answers(&env, "study"), env.files("study/outputs"));
    let lock = env.read("study/cpipe.lock");
    assert!(before.iter().all(|(code, _)| *code == 0), "{before:?}");
    move_to(&env, "study", "elsewhere");
    remove_sources(&env, "elsewhere");
    assert_eq!(answers(&env, "elsewhere"), before);
    assert!(env.files("elsewhere/outputs") == outputs);
    env.remove("elsewhere/outputs");
    let again = env.cpipe_in("elsewhere", &["run"]);
    assert!(
        again
            .assert_code(0)
            .stderr
            .contains("up to date: 0 executed, 5 cached"),
        "{}",
        again.stderr
    );
    assert!(env.files("elsewhere/outputs") == outputs);
    assert_eq!(env.read("elsewhere/cpipe.lock"), lock);
    // The folder may be copied without what only speeds things up.
    env.remove("elsewhere/cache/v1/stat.json");
    assert_eq!(answers(&env, "elsewhere"), before);
}

#[test]
fn so_does_one_whose_sources_are_pinned() {
    let env = ran_study();
    env.cpipe_in("study", &["update", "--pin"]).assert_code(0);
    let before = answers(&env, "study");
    assert!(
        before[0].1.starts_with("5 up to date, 0 would run"),
        "{before:?}"
    );
    move_to(&env, "study", "elsewhere");
    remove_sources(&env, "elsewhere");
    assert_eq!(answers(&env, "elsewhere"), before);
}

#[test]
fn the_study_of_ones_own_models_moves() {
    let env = TestEnv::example("source-code");
    let (here, there) = ("examples/source-code", "examples/moved");
    env.cpipe_in(here, &["run"]).assert_code(0);
    let outputs = env.files(&format!("{here}/outputs"));
    let cells = env.cpipe_in(here, &["cat", "aggregate:cells.csv"]);
    move_to(&env, here, there);
    env.remove("assets");
    env.remove("crates");
    let plan = env.cpipe_in(there, &["plan"]);
    assert!(
        plan.text().ends_with(", 0 would run or may have to\n"),
        "{plan:?}"
    );
    env.cpipe_in(
        there,
        &["run", "--only", "aggregate", "--force", "aggregate"],
    )
    .assert_code(0);
    let ran = env.cpipe_in(there, &["run"]);
    assert!(ran.stderr.starts_with("up to date: 0 executed"), "{ran:?}");
    assert!(env.files(&format!("{there}/outputs")) == outputs);
    let again = env.cpipe_in(there, &["cat", "aggregate:cells.csv"]);
    assert_eq!(again.stdout, cells.stdout);
    assert!(!cells.stdout.is_empty());
}

#[test]
fn only_looks_at_no_source_whatever_became_of_it() {
    let env = ran_study();
    let only = |what: &str| {
        for args in [
            &["run", "--only", "count", "--json"][..],
            &["run", "--only", "count", "--only", "weights", "--json"],
            &["plan", "--only", "count"],
        ] {
            let output = env.cpipe_in("study", args);
            output.assert_code(0);
            assert!(
                !output.text().contains("node_started"),
                "{what}: {output:?}"
            );
        }
        let other = env.cpipe_in("study", &["plan", "--only", "count", "--set", "word=bye"]);
        assert!(
            other.text().contains("word") || other.text().contains("bye"),
            "{other:?}"
        );
    };
    env.write("study/data/in.txt", "edited\n");
    only("edited");
    env.remove("study/data/in.txt");
    rustix_fifo(&env.path("study/data/in.txt"));
    only("a pipe");
    env.remove("study/models");
    std::os::unix::fs::symlink("nowhere", env.path("study/models")).unwrap();
    only("a link to nowhere");
    std::fs::remove_file(env.path("study/note.txt")).unwrap();
    std::os::unix::fs::symlink("note.txt", env.path("study/note.txt")).unwrap();
    only("a link to itself");
}

fn rustix_fifo(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn a_source_that_follows_its_content_is_remembered_by_runs_alone() {
    let env = ran_study();
    let lock = env.read("study/cpipe.lock");
    assert_eq!(lock.matches("digest: \"blake3:").count(), 4, "{lock}");
    env.write("study/data/in.txt", "edited\n");
    for command in [
        &["plan"][..],
        &["status"],
        &["why", "count"],
        &["run", "weights"],
    ] {
        env.cpipe_in("study", command).assert_code(0);
        assert_eq!(env.read("study/cpipe.lock"), lock, "{command:?}");
    }
    // It is no error with --locked, which is about remote sources.
    env.cpipe_in("study", &["run", "--locked"]).assert_code(0);
    let after = env.read("study/cpipe.lock");
    let differ = lock.lines().zip(after.lines()).filter(|(a, b)| a != b);
    assert_eq!(differ.count(), 1, "{after}");
    env.cpipe_in("study", &["run"]).assert_code(0);
    assert_eq!(env.read("study/cpipe.lock"), after);
    // A path that is set is another question.
    env.write("study/other/in.txt", "other\n");
    let set = ["run", "--set", "sources.data.path=other/in.txt"];
    env.cpipe_in("study", &set).assert_code(0);
    env.remove("study/other");
    env.remove("study/data");
    for command in [&set[..], &["run"]] {
        let again = env.cpipe_in("study", command);
        assert!(
            again.assert_code(0).stderr.starts_with("up to date"),
            "{again:?}"
        );
    }
}

#[test]
fn an_edit_that_never_worked_is_not_remembered() {
    let env = ran_study();
    let lock = env.read("study/cpipe.lock");
    env.replace(
        "study/pipeline.yaml",
        "cat note.txt >",
        "grep note note.txt >",
    );
    env.cpipe_in("study", &["run"]).assert_code(0);
    env.write("study/note.txt", "nothing of that kind\n");
    env.replace(
        "study/pipeline.yaml",
        "grep note note.txt >",
        "false; grep note note.txt >",
    );
    env.replace("study/pipeline.yaml", "false; grep", "exit 3; grep");
    env.cpipe_in("study", &["run"]).assert_code(20);
    assert_eq!(env.read("study/cpipe.lock"), lock);
}

#[test]
fn a_source_that_is_gone_and_was_never_seen_is_named() {
    let env = study_in("study", STUDY);
    remove_sources(&env, "study");
    for command in ["run", "plan"] {
        let output = env.cpipe_in("study", &[command]);
        output.assert_code(10);
        for words in [
            "source `data` is missing: data/in.txt",
            "data reads it, and cpipe.lock does not say what it was",
            "the file note.txt is missing",
        ] {
            assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
        }
    }
    env.cpipe_in("study", &["status"]).assert_code(0);
    env.cpipe_in("study", &["why", "count"]).assert_code(0);
    env.cpipe_in("study", &["cat", "count:count.txt"])
        .assert_code(2);
}

#[test]
fn no_absolute_path_is_in_the_cache_or_the_lock() {
    let env = study_in("study", STUDY);
    let root = env.root().to_str().unwrap().to_owned();
    let (file, cache) = (
        format!("--file={root}/study/pipeline.yaml"),
        format!("{root}/study/cache"),
    );
    env.write("outside/in.txt", "outside\n");
    let set = format!("sources.data.path={root}/outside/in.txt");
    let broken = format!("stages.count.run.command.program=[\"{root}/no/such\", {root}/x]");
    for (set, code) in [("word=hello", 0), (set.as_str(), 0), (broken.as_str(), 20)] {
        let args = ["run", &file, "--cache", &cache, "--set", set];
        env.cpipe_in("outside", &args).assert_code(code);
    }
    env.write("study/outputs/count.txt", "edited");
    env.cpipe_in("study", &["run"]).assert_code(0);
    let mut files = env.files("study/cache");
    files.insert(
        "cpipe.lock".into(),
        env.read("study/cpipe.lock").into_bytes(),
    );
    assert!(files.contains_key("v1/stat.json") && files.contains_key("v1/exports.json"));
    for (name, bytes) in files {
        // The broken program is a parameter of its action, as it would be in pipeline.yaml.
        let text = String::from_utf8_lossy(&bytes);
        let is_told = text.contains(&root) && !name.starts_with("v1/logs/");
        assert!(!is_told, "{name}: {text}");
    }
    let runs = env.cpipe_in("study", &["runs", "--json"]);
    assert!(
        runs.text().contains("\"file\":\"pipeline.yaml\""),
        "{}",
        runs.text()
    );
    assert!(
        runs.text().contains("\"--file=pipeline.yaml\""),
        "{}",
        runs.text()
    );
    assert!(
        runs.text().contains("sources.data.path=blake3:"),
        "{}",
        runs.text()
    );
}

#[test]
fn what_a_program_read_beside_its_inputs_is_recorded_without_its_folder() {
    let env = study_in("study", STUDY);
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        return;
    }
    env.write("study/undeclared.txt", "x");
    let path = env.path("study/undeclared.txt");
    let read = format!("cat {} > /dev/null; cat note.txt", path.display());
    env.replace("study/pipeline.yaml", "cat note.txt", &read);
    let ran = env.cpipe_in("study", &["run", "--trace"]);
    ran.assert_code(0);
    assert!(
        ran.stderr.contains(&format!("read {}", path.display())),
        "{ran:?}"
    );
    let shown = env.cpipe_in("study", &["show", "count"]);
    assert!(
        shown.text().contains("[\"undeclared.txt\"]"),
        "{}",
        shown.text()
    );
}

#[test]
fn what_was_exported_before_the_move_is_still_known_as_ours() {
    let env = ran_study();
    move_to(&env, "study", "elsewhere");
    env.remove("elsewhere/cache/v1/blobs");
    env.cpipe_in("elsewhere", &["run", "--set", "word=bye"])
        .assert_code(0);
    let names: Vec<String> = env.files("elsewhere/outputs").into_keys().collect();
    assert_eq!(names, ["count.txt", "report.html"]);
    env.write("elsewhere/outputs/count.txt", "mine\n");
    env.cpipe_in("elsewhere", &["run"]).assert_code(0);
    assert_eq!(
        env.files("elsewhere/outputs").len(),
        3,
        "an edit is set aside"
    );
}

#[test]
fn only_in_a_folder_without_a_cache_names_the_cache() {
    let env = study_in("study", STUDY);
    for command in ["run", "plan"] {
        let args = [command, "--only", "count", "--set", "word=a b"];
        let output = env.cpipe_in("study", &args);
        output.assert_code(30);
        assert!(
            output.stderr.contains("/study/cache is empty"),
            "{}",
            output.stderr
        );
        let hint = "`cpipe run --set 'word=a b'` makes all that is missing";
        assert!(output.stderr.contains(hint), "{}", output.stderr);
    }
}

#[test]
fn only_names_a_source_that_nobody_remembers() {
    let env = ran_study();
    env.remove("study/cpipe.lock");
    env.remove("study/cache/v1/stat.json");
    let output = env.cpipe_in("study", &["run", "--only", "count"]);
    output.assert_code(20);
    let words = "/study/models/a, and cpipe.lock does not say what that was";
    assert!(output.stderr.contains(words), "{}", output.stderr);
}

#[test]
fn a_study_whose_cache_is_elsewhere_moves_too() {
    let env = study_in("study", STUDY);
    let cache = env.path("big/cache");
    let cache = cache.to_str().unwrap();
    env.cpipe_in("study", &["run", "--cache", cache])
        .assert_code(0);
    let outputs = env.files("study/outputs");
    move_to(&env, "study", "elsewhere");
    remove_sources(&env, "elsewhere");
    for command in ["plan", "run", "report"] {
        env.cpipe_in("elsewhere", &[command, "--cache", cache])
            .assert_code(0);
    }
    assert_eq!(env.files("elsewhere/outputs").len(), outputs.len());
}

#[test]
fn a_hint_can_be_pasted() {
    let env = study_in("study", STUDY);
    move_to(&env, "study/pipeline.yaml", "study/other file.yaml");
    let given = ["--file", "other file.yaml", "--set", "word=x"];
    let typed = "--file 'other file.yaml' --set word=x";
    let said = |args: &[&str]| env.cpipe_in("study", &[args, &given].concat()).stderr;
    let missing = said(&["cat", "count:count.txt"]);
    assert!(
        missing.contains(&format!("`cpipe run {typed} 'count'`")),
        "{missing}"
    );
    said(&["run", "data"]);
    let missing = said(&["run", "--only", "count"]);
    assert!(
        missing.contains(&format!("`cpipe run {typed} 'weights[model=")),
        "{missing}"
    );
    let missing = said(&["report"]);
    assert!(
        missing.contains(&format!("`cpipe run {typed}`")),
        "{missing}"
    );
}

/// A path that is written as an absolute one stays what it was when the study moves.
#[test]
fn an_absolute_path_inside_the_study_is_found_after_a_move() {
    let env = TestEnv::of("version: 1\n");
    let text = format!(
        "version: 1\nsources: {{ d: {{ path: {}/study/in.txt }} }}\nstages: {{ d: {{ run: {{ download: {{ source: d }} }}, export: . }} }}\n",
        env.root().display()
    );
    env.write("study/pipeline.yaml", &text);
    env.write("study/in.txt", "in\n");
    let file = ["--file", "study/pipeline.yaml"];
    env.run(&file).assert_executed(&["d"]);
    let lock = env.read("study/cpipe.lock");
    assert!(!lock.contains(env.root().to_str().unwrap()), "{lock}");
    std::fs::rename(env.path("study"), env.path("moved")).unwrap();
    env.remove("moved/in.txt");
    env.remove("moved/outputs");
    let file = ["--file", "moved/pipeline.yaml"];
    env.run(&file).assert_executed(&[]);
    assert_eq!(env.read("moved/outputs/files/in.txt"), "in\n");
}

/// What was seen before a digest was declared does not come back when it is taken out again.
#[test]
fn what_was_seen_is_forgotten_once_a_digest_is_declared() {
    let env = TestEnv::of(
        "version: 1\nsources:\n  d: { path: in.txt }\nstages:\n  d: { run: { download: { source: d } }, export: . }\n",
    );
    env.write("in.txt", "1\n");
    env.run(&[]).assert_executed(&["d"]);
    assert!(env.read("cpipe.lock").contains("seen:"));
    env.write("in.txt", "2\n");
    env.cpipe(&["update", "--pin"]).assert_code(0);
    env.run(&[]).assert_executed(&["d"]);
    assert!(!env.read("cpipe.lock").contains("seen:"));
    env.write("in.txt", "3\n");
    env.cpipe(&["update"]).assert_code(0);
    env.run(&[]).assert_executed(&["d"]);
    let pinned = env.read("pipeline.yaml");
    let start = pinned.find(", blake3").unwrap();
    let end = start + pinned[start..].find(" }").unwrap();
    env.write(
        "pipeline.yaml",
        format!("{}{}", &pinned[..start], &pinned[end..]),
    );
    env.remove("in.txt");
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read("outputs/files/in.txt"), "3\n");
}
