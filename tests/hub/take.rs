//! The beginning of an archive, where the way there is rough; and what is left lying about.

use std::time::{Duration, SystemTime};

use crate::archives::{gzip, tar};
use crate::server::{Reply, Request, Server};
use crate::{CPIPE, Study, data};

/// Utterances, and 3 MB behind them.
fn archive() -> Vec<u8> {
    let noise: Vec<u8> = (0..3_000_000u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let mut files = data::files("eval/speech");
    files.insert("z.flac".to_owned(), noise);
    gzip(&tar(&data::pairs(&files)))
}

fn study(urls: &[&str]) -> Study {
    let bytes = data::pcm_bytes(&data::files("eval/speech"));
    let pipeline = format!(
        "version: 1
sources:
  speech: {{ url: {urls:?}, unpack: tar.gz, take: {{ speech: {bytes} }} }}
stages:
  get: {{ run: {{ download: {{ source: speech }} }}, export: . }}
"
    );
    Study::new("http://127.0.0.1:9", &pipeline)
}

/// The utterances that were to be taken, each whole, and nothing else.
fn assert_taken(study: &Study) {
    let expected = data::files("eval/speech");
    let found = std::fs::read_dir(study.path("outputs/files")).unwrap();
    let mut paths: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), expected.len());
    for (number, (path, (name, bytes))) in paths.iter().zip(&expected).enumerate() {
        assert!(
            path.ends_with(format!("{number:05}-{name}")),
            "{}",
            path.display()
        );
        assert_eq!(std::fs::read(path).unwrap(), *bytes, "{name}");
    }
}

#[test]
fn a_stream_that_is_cut_goes_on_where_it_stopped() {
    let served = archive();
    let server = Server::start(move |request: &Request| Reply {
        cut: Some(100_000 + 7919 * request.earlier),
        ..Reply::file(request, &served, "v1")
    });
    let study = study(&[&format!("{}/a.tar.gz", server.url)]);
    study.run(&["run"]);
    assert_taken(&study);
    let requests = server.requests();
    assert!(requests.len() > 3, "{} requests", requests.len());
    // Each went on at the byte where the one before was cut.
    let mut position = 0;
    for (request, sent) in requests {
        assert_eq!(request.start().unwrap_or(0), position);
        position += sent;
    }
}

#[test]
fn a_place_that_breaks_off_for_good_is_left_for_the_next() {
    let served = archive();
    let good = served.clone();
    let broken = Server::start(move |request: &Request| match request.earlier {
        0 => Reply {
            cut: Some(150_000),
            ..Reply::file(request, &served, "v1")
        },
        _ => Reply::status(404),
    });
    let whole = Server::start(move |request: &Request| Reply::file(request, &good, "v1"));
    let study = study(&[
        &format!("{}/a.tar.gz", broken.url),
        &format!("{}/a.tar.gz", whole.url),
    ]);
    study.run(&["run"]);
    assert_taken(&study);
    assert!(study.read("cpipe.lock").contains(&whole.url));
}

/// A server that falls silent in the middle of the first answer.
fn stuck_at_first(served: Vec<u8>) -> Server {
    Server::start(move |request: &Request| match request.earlier {
        0 => Reply {
            cut: Some(200_000),
            silence: Some(Duration::from_secs(600)),
            ..Reply::file(request, &served, "v1")
        },
        _ => Reply::file(request, &served, "v1"),
    })
}

/// Kills a run once the server is stuck and something has been unpacked.
fn run_and_kill(study: &Study) {
    let mut child = study.command(CPIPE).arg("run").spawn().unwrap();
    let unpacked = |study: &Study| {
        let folders = std::fs::read_dir(study.path("cache/v1/downloads"));
        folders.into_iter().flatten().flatten().any(|folder| {
            let files = std::fs::read_dir(folder.path().join("files.new"));
            files.into_iter().flatten().count() > 2
        })
    };
    while !unpacked(study) {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_run_leaves_nothing_that_counts() {
    let server = stuck_at_first(archive());
    let study = study(&[&format!("{}/a.tar.gz", server.url)]);
    run_and_kill(&study);
    assert!(!study.path("cpipe.lock").exists() && !study.path("outputs").exists());
    study.run(&["run"]);
    assert_taken(&study);
}

#[test]
fn abandoned_downloads_go_with_the_garbage_and_those_in_use_stay() {
    let server = stuck_at_first(archive());
    let study = study(&[&format!("{}/a.tar.gz", server.url)]);
    run_and_kill(&study);
    let downloads = study.path("cache/v1/downloads");
    let folder = std::fs::read_dir(&downloads).unwrap().next().unwrap();
    let folder = folder.unwrap().path();
    // No run that is on record is younger.
    assert!(study.run(&["gc"]).out.starts_with("freed: "));
    assert!(folder.join("files.new").exists());

    // The download is given up, and a later run needs nothing of it.
    let other = "version: 1
stages:
  one: { run: { command: { program: [touch, one.txt], outputs: [one.txt] } } }
";
    std::fs::write(study.path("other.yaml"), other).unwrap();
    study.run(&["run", "--file", "other.yaml"]);
    age(&folder);
    let in_use = std::fs::File::open(folder.join("lock")).unwrap();
    in_use.lock().unwrap();
    assert!(!study.run(&["gc"]).out.contains("downloads"));
    assert!(folder.join("files.new").exists());
    drop(in_use);
    let done = study.run(&["gc", "--dry-run"]);
    assert!(
        done.out.contains("\nabandoned downloads: 1, "),
        "{}",
        done.out
    );
    assert!(folder.join("files.new").exists());
    let done = study.run(&["gc"]);
    assert!(
        done.out.starts_with("abandoned downloads: 1, "),
        "{}",
        done.out
    );
    assert!(!folder.exists());
    study.run(&["run"]);
    assert_taken(&study);
}

/// Makes all files below a folder look an hour old.
fn age(folder: &std::path::Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(then).unwrap();
        }
    }
}
