//! Named pipes and folders in the place of files that cpipe reads: none is waited for.

use std::process::Command;

use crate::env::TestEnv;

const STUDY: &str = "version: 1
matrix: { m: { file: values.txt } }
stages:
  make:
    over: [m]
    run: { command: { program: [sh, -c, 'echo ${m} > ${m}.txt'], outputs: ['${m}.txt'] } }
    export: .
report: { text: { file: words.md } }
";

fn study() -> TestEnv {
    let env = TestEnv::of(STUDY);
    env.write("values.txt", "a\nb\n");
    env.write("words.md", "Words.\n");
    env
}

fn put_pipe(env: &TestEnv, name: &str) {
    if env.path(name).exists() {
        env.remove(name);
    }
    let made = Command::new("mkfifo").arg(env.path(name)).status();
    assert!(made.unwrap().success());
}

#[test]
fn a_named_pipe_is_refused_by_name() {
    for name in ["pipeline.yaml", "cpipe.lock", "values.txt", "words.md"] {
        let env = study();
        put_pipe(&env, name);
        for command in ["run", "plan", "status"] {
            let output = env.cpipe(&[command]);
            let told = &output.assert_code(10).stderr;
            let expected = format!("{name} is a named pipe, and a file is expected there");
            assert!(told.contains(&expected), "{command} {name}: {told}");
        }
    }
}

#[test]
fn a_folder_is_called_a_folder() {
    let env = study();
    env.write("study/x", "");
    let output = env.cpipe(&["run", "--file", "study"]);
    let told = &output.assert_code(10).stderr;
    assert!(
        told.contains("study is a folder, and a file is expected there"),
        "{told}"
    );
}

#[test]
fn a_named_pipe_in_the_place_of_the_report_makes_way() {
    let env = study();
    env.run(&[]).assert_done();
    put_pipe(&env, "outputs/report.html");
    env.run(&[]).assert_executed(&[]);
    assert!(env.read("outputs/report.html").contains("Words."));
}

#[test]
fn values_of_a_stage_that_are_no_text_name_the_output() {
    let env = TestEnv::of(
        "version: 1\nmatrix: { m: { output: 'list:m.txt' } }\nstages:\n  \
         list: { run: { command: { program: [sh, -c, 'printf a\\\\377 > m.txt'], outputs: [m.txt] } } }\n  \
         each: { over: [m], needs: { list: list }, run: { command: { program: [cp, list/m.txt, '${m}'], outputs: ['${m}'] } } }\n",
    );
    let output = env.cpipe(&["run"]);
    let told = &output.assert_code(10).stderr;
    assert!(
        told.contains("list:m.txt is not UTF-8 text (byte 1)"),
        "{told}"
    );
}
