//! `report:` and `cpipe report`: one page about a run.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::env::TestEnv;
use crate::published::{ARGUMENTS, published};
use crate::verify::flip;

const STUDY: &str = include_str!("../fixtures/report.yaml");
const DRAWING: &str = r#"<svg width="20" height="10" xmlns="http://www.w3.org/2000/svg"><title>Bars</title><rect id="bar" width="7" height="9"/></svg>"#;
const PAGE: &str = "outputs/report.html";

/// A small study with a report.
fn study() -> TestEnv {
    let env = TestEnv::of(STUDY);
    env.write("drawing.svg", DRAWING);
    env
}

/// Which file the report is, so that a replaced one is told from one that was left alone.
fn inode(env: &TestEnv) -> u64 {
    std::fs::metadata(env.path(PAGE)).unwrap().ino()
}

#[test]
fn a_run_writes_it_and_a_run_without_work_leaves_it_alone() {
    let env = study();
    let first = env.cpipe(&["run"]);
    assert!(
        first
            .assert_code(0)
            .stderr
            .contains("report in outputs/report.html")
    );
    let (page, file) = (env.read(PAGE), inode(&env));
    let mode = std::fs::metadata(env.path(PAGE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
    env.run(&[]).assert_executed(&[]);
    assert_eq!(inode(&env), file);
    // Made again it is the same, even where the sources are gone.
    env.remove(PAGE);
    env.remove("drawing.svg");
    env.cpipe(&["report"]).assert_code(0);
    assert_eq!(env.read(PAGE), page);
    env.remove(PAGE);
    env.write("drawing.svg", DRAWING);
    env.run(&[]).assert_executed(&[]);
    assert_eq!(env.read(PAGE), page);
}

#[test]
fn a_page_that_is_not_ours_is_set_aside() {
    let env = study();
    env.write(PAGE, "mine");
    let run = env.cpipe(&["run"]);
    assert!(
        run.assert_code(0)
            .stderr
            .contains("an edited output was kept"),
        "{run:?}"
    );
    assert_eq!(env.read("outputs/report.html.edited-1"), "mine");
    // One that we wrote is replaced.
    env.replace("pipeline.yaml", "title: Letters", "title: Other letters");
    env.run(&[]).assert_done();
    assert_eq!(
        env.files("outputs")
            .keys()
            .filter(|name| name.contains(".edited-"))
            .count(),
        1
    );
    env.change(PAGE, |page| page.extend(b"<p>note</p>"));
    env.replace("pipeline.yaml", "title: Other letters", "title: Letters");
    env.run(&[]).assert_done();
    assert!(
        env.read("outputs/report.html.edited-2")
            .ends_with("<p>note</p>")
    );
}

#[test]
fn it_is_written_again_when_it_would_say_something_else() {
    let env = study();
    env.run(&[]).assert_done();
    let file = inode(&env);
    env.replace("pipeline.yaml", "title: Letters", "title: Other letters");
    env.run(&[]).assert_executed(&[]);
    assert_ne!(inode(&env), file);
    assert!(env.read(PAGE).contains("<h1>Other letters</h1>"));
    env.run(&["--set", "value=0.5"]).assert_done();
    let page = env.read(PAGE);
    assert!(page.contains(">0.5000<") || page.contains("data-v=\"0.5\""));
    assert!(
        page.contains("cpipe run --set value=0.5\n"),
        "how to do it again"
    );
}

#[test]
fn what_ran_is_told_from_what_was_in_the_cache() {
    let env = study();
    env.run(&[]).assert_done();
    env.write("drawing.svg", DRAWING.replace("Bars", "Beams"));
    env.run(&[]).assert_executed(&["draw"]);
    let page = env.read(PAGE);
    assert!(
        page.contains("1 executed, 3 from the cache"),
        "the headline"
    );
    assert!(page.contains("2 nodes: 2 cached"), "the stage count");
    assert!(page.contains("1 node: 1 ran"), "the stage draw");
}

#[test]
fn there_is_none_unless_it_is_asked_for() {
    let env = study();
    let report = STUDY.find("report:").unwrap();
    env.write("pipeline.yaml", &STUDY[..report]);
    env.run(&[]).assert_done();
    assert!(!env.path(PAGE).exists());
    env.cpipe(&["report"]).assert_code(0);
    assert!(env.read(PAGE).contains("<h1>letters</h1>"));
}

#[test]
fn without_a_run_it_says_what_to_do() {
    let env = study();
    let told = env.cpipe(&["report", "--set", "value=2"]);
    assert!(
        told.assert_code(2)
            .stderr
            .contains("`cpipe run --set value=2` brings everything up to date")
    );
    assert!(!env.path(PAGE).exists());
}

#[test]
fn a_failed_run_and_a_run_of_a_part_leave_the_earlier_one() {
    let env = study();
    env.run(&[]).assert_done();
    let page = env.read(PAGE);
    env.run(&["count", "--set", "value=3"]).assert_done();
    assert_eq!(env.read(PAGE), page);
    env.replace(
        "pipeline.yaml",
        "cat drawing.svg >",
        "exit 3; cat drawing.svg >",
    );
    assert_eq!(env.run(&[]).code, 20);
    assert_eq!(env.read(PAGE), page);
}

#[test]
fn mistakes_in_what_is_asked_for_are_told() {
    let env = study();
    env.replace("pipeline.yaml", "title: Letters", "tables: [cels.csv]");
    let told = env.cpipe(&["plan"]);
    assert!(
        told.assert_code(10)
            .stderr
            .contains("did you mean `cells.csv`?")
    );
    env.replace(
        "pipeline.yaml",
        "tables: [cels.csv]",
        "figures: [cells.csv]",
    );
    env.run(&["cells"]).assert_done();
    let told = env.cpipe(&["run"]);
    assert!(
        told.assert_code(10)
            .stderr
            .contains("`cells.csv` cannot be shown as a figure")
    );
}

#[test]
fn a_damaged_table_is_told_with_what_makes_it_again() {
    let env = study();
    env.run(&[]).assert_done();
    flip(&env, env.read("outputs/cells.csv").as_bytes());
    let told = env.cpipe(&["report"]);
    told.assert_code(30);
    assert!(
        told.stderr.contains("the report cannot show cells.csv"),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr.contains("`cpipe run --force 'cells'`"),
        "{}",
        told.stderr
    );
    env.run(&["--force", "cells"]).assert_done();
    env.cpipe(&["report"]).assert_code(0);
}

/// Everything that a browser would fetch by itself.
fn assert_self_contained(page: &str) {
    for part in [
        "<link",
        "@import",
        "src=\"http",
        "src=\"//",
        "url(http",
        "<iframe",
        "<object",
    ] {
        assert!(!page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("default-src 'none'; script-src 'sha256-"));
}

/// Ids that stand in the page more than once.
fn repeated_ids(page: &str) -> Vec<&str> {
    let mut ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    ids.sort_unstable();
    let pairs = ids.windows(2).filter(|pair| pair[0] == pair[1]);
    pairs.map(|pair| pair[0]).collect()
}

#[test]
fn texts_from_outside_can_do_nothing_in_the_page() {
    let env = study();
    let hostile = "<script>alert(1)</script>";
    let row = format!("'{hostile},64,text,1'");
    env.replace("pipeline.yaml", "'${model},64,text,${value}'", &row);
    let title = format!("title: \"{hostile} & <b>\"");
    env.replace("pipeline.yaml", "title: Letters", &title);
    env.replace(
        "pipeline.yaml",
        "*letters*",
        "<script>alert(2)</script> ![x](http://x.org/x.png)",
    );
    env.write(
        "drawing.svg",
        DRAWING.replace("<rect", "<script>alert(3)</script><rect"),
    );
    env.run(&[]).assert_done();
    let page = env.read(PAGE);
    assert_self_contained(&page);
    assert!(page.contains("<h1>&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;</h1>"));
    assert!(
        page.contains("<img src=\"data:image/svg+xml;base64,"),
        "a drawing with a script is an image"
    );
}

#[test]
fn the_published_study_is_told_with_all_its_numbers() {
    let env = published();
    env.run(ARGUMENTS).assert_done();
    let page = env.read("outputs/published/report.html");
    assert_self_contained(&page);
    assert_eq!(repeated_ids(&page), Vec::<&str>::new());
    for table in ["cells", "fits", "laws", "claims"] {
        for line in env
            .read(&format!("outputs/published/{table}.csv"))
            .lines()
            .skip(1)
        {
            for cell in line
                .split(',')
                .filter(|c| !c.contains(['"', '&', '<', '>']))
            {
                let shown = [format!("data-v=\"{cell}\""), format!(">{cell}<")];
                let blank = cell.is_empty() || cell == "NaN";
                let found = blank || shown.iter().any(|s| page.contains(s));
                // Cells with commas in them are cut apart here; their parts are somewhere too.
                assert!(found || page.contains(cell), "{table}: {cell}");
            }
        }
    }
    // What it rests on, down to the digest of the source.
    for part in [
        "blake3:60c40a45a947e9f605992bbb9fae85f08b9ba3f8c1b6b059cac59d15104d1ce3",
        "aria-label=\"Figure 1: ",
        "8 hold, 19 fail, 17 open",
        "cpipe run --profile published --set bootstrap=200",
        "<h2 id=\"claims-title\">Claims</h2>",
    ] {
        assert!(page.contains(part), "{part}");
    }
}
