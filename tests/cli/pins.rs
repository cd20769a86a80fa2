//! `cpipe update --pin`: digests where they belong, for lines with variables too.

use crate::env::TestEnv;

const STAGES: &str = r#"
stages:
  weights: { over: [model], run: { download: { source: "weights/${model}" } } }
  data: { run: { download: { source: data } } }
"#;

/// A study with these lines under `sources`.
fn study(head: &str) -> TestEnv {
    let env = TestEnv::of(&format!(
        "version: 1\nmatrix: {{ model: [a, b] }}\n{head}{STAGES}"
    ));
    for (name, content) in [
        ("data/de", "deutsch\n"),
        ("data/fr", "french\n"),
        ("models/a/w", "a\n"),
        ("models/b/w", "b\n"),
    ] {
        env.write(name, content);
    }
    env
}

fn pins(env: &TestEnv) -> Vec<(String, String)> {
    let text = env.read("pipeline.yaml");
    let lines = text.lines();
    let digest = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    lines
        .filter_map(|line| {
            let clean = line.replace([',', '}', '"', '\''], " ");
            let words: Vec<&str> = clean.split_whitespace().collect();
            let at = words.iter().position(|word| digest(word))?;
            Some((words[at - 1].to_owned(), words[at].to_owned()))
        })
        .collect()
}

/// Pins, checks that nothing runs again and that an edit is refused, then accepted.
fn assert_pins(env: &TestEnv, keys: &[&str]) {
    env.run(&[]).assert_done();
    let before = env.read("pipeline.yaml");
    env.cpipe(&["update", "--pin"]).assert_code(0);
    let text = env.read("pipeline.yaml");
    let found: Vec<String> = pins(env).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, keys, "{text}");
    env.run(&[]).assert_executed(&[]);
    assert_eq!(
        env.cpipe(&["update", "--pin"]).text(),
        "everything is as declared and locked\n"
    );
    // Nothing that was there has gone.
    let is_lost = |line: &&str| !text.contains(line.split(" }").next().unwrap());
    assert_eq!(before.lines().find(is_lost), None, "{text}");
    env.write("models/b/w", "other\n");
    let refused = env.cpipe(&["run"]);
    assert!(
        refused
            .assert_code(10)
            .stderr
            .contains("source `weights/b` is not what"),
        "{}",
        refused.stderr
    );
    env.cpipe(&["update", "weights/b"]).assert_code(0);
    env.run(&[]).assert_executed(&["weights[model=b]"]);
    let (old, new) = (text, env.read("pipeline.yaml"));
    let differ = old.lines().zip(new.lines()).filter(|(a, b)| a != b);
    assert_eq!((differ.count(), old.len()), (1, new.len()), "{new}");
}

#[test]
fn lines_in_braces() {
    let env = study(
        "sources:\n  data: { path: data/de } # German\n  weights/${model}: { path: \"models/${model}\" }\n",
    );
    assert_pins(&env, &["blake3:", "models/a:", "models/b:"]);
    assert!(env.read("pipeline.yaml").contains(" } # German\n"));
}

#[test]
fn lines_in_blocks() {
    let env = study(
        "sources:\n  data:\n    # German\n    path: 'data/de' # here\n\n  \"weights/${model}\":\n    path: models/${model}\n",
    );
    assert_pins(&env, &["blake3:", "models/a:", "models/b:"]);
    assert!(
        env.read("pipeline.yaml")
            .contains("    path: 'data/de' # here\n    blake3: ")
    );
}

#[test]
fn a_line_with_a_digest_that_nobody_filled_in() {
    let zeros = "0".repeat(64);
    let env = study(&format!(
        "sources:\n  data: {{ path: data/de, blake3: \"{zeros}\" }}\n  weights/${{model}}: {{ path: \"models/${{model}}\", sha256: '{zeros}' }}\n"
    ));
    env.cpipe(&["update"]).assert_code(0);
    let text = env.read("pipeline.yaml");
    let found: Vec<String> = pins(&env).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, ["blake3:", "models/a:", "models/b:"], "{text}");
    assert!(text.contains("sha256: {"), "{text}");
    env.run(&[]).assert_done();
}

#[test]
fn a_path_that_a_variable_changes_has_a_digest_for_each_value() {
    let env = study(
        "vars: { lang: de }\nsources:\n  data: { path: \"data/${lang}\" }\n  weights/${model}: { path: \"models/${model}\" }\n",
    );
    env.cpipe(&["update", "--pin", "data"]).assert_code(0);
    env.cpipe(&["update", "--pin", "data", "--set", "lang=fr"])
        .assert_code(0);
    let found: Vec<String> = pins(&env).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, ["data/de:", "data/fr:"]);
    for lang in ["lang=de", "lang=fr"] {
        env.run(&["data", "--set", lang]).assert_done();
    }
    let follow = env.cpipe(&["update"]);
    let expected = "every source with a digest is as declared and locked\n\
                    2 sources have no digest and follow their content: weights/a, weights/b; \
                    `cpipe update --pin` pins them\n";
    assert_eq!(follow.text(), expected);
}

#[test]
fn a_model_that_is_added_is_pinned_beside_the_others() {
    let env = study(
        "sources:\n  data: { path: data/de }\n  weights/${model}:\n    path: \"models/${model}\"\n",
    );
    env.cpipe(&["update", "--pin"]).assert_code(0);
    let before = pins(&env);
    env.write("models/c d/w", "c\n");
    env.replace("pipeline.yaml", "model: [a, b]", "model: [a, b, c d]");
    env.cpipe(&["update", "--pin"]).assert_code(0);
    let text = env.read("pipeline.yaml");
    assert_eq!(pins(&env).len(), 4, "{text}");
    assert_eq!(pins(&env)[..3], before[..], "{text}");
    assert!(text.contains("      \"models/c d\": "), "{text}");
    env.run(&[]).assert_done();
}

#[test]
fn what_is_gone_is_pinned_to_what_it_was() {
    let env = study(
        "sources:\n  data: { path: data/de }\n  weights/${model}: { path: \"models/${model}\" }\n",
    );
    env.run(&[]).assert_done();
    env.remove("models");
    env.remove("data");
    env.cpipe(&["update", "--pin"]).assert_code(0);
    assert_eq!(pins(&env).len(), 3);
    env.run(&[]).assert_executed(&[]);
}
