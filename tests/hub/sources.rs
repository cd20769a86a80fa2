//! One source at a time: the lock, the hub cache, access, damage, interruptions.

use crate::Study;
use crate::archives::{tar, zip};
use crate::hub::{Files, Hub};

const HUB: &str = "version: 1
sources:
  w: { hub: me/model, revision: step1 }
stages:
  get: { run: { download: { source: w } }, export: . }
";

fn web(url: &str) -> String {
    format!(
        "version: 1
sources:
  data: {{ url: '{url}/data.zip?key=SECRET_KEY', unpack: zip }}
stages:
  get: {{ run: {{ download: {{ source: data }} }}, export: . }}
"
    )
}

fn model(fill: u8) -> Files {
    let config = br#"{"hidden_size": 1}"#.to_vec();
    let weights: Vec<u8> = (0..300_000u32)
        .map(|i| ((i * i) >> 5) as u8 ^ fill)
        .collect();
    let files = [("config.json", config), ("model.safetensors", weights)];
    let mut files: Files = files.map(|(name, bytes)| (name.to_owned(), bytes)).into();
    files.insert("README.md".into(), b"not asked for".to_vec());
    files
}

fn weights_of(study: &Study) -> Vec<u8> {
    std::fs::read(study.path("outputs/files/model.safetensors")).unwrap()
}

#[test]
fn a_revision_stays_at_its_commit_until_it_is_updated() {
    let hub = Hub::start();
    let first = hub.push("models", "me/model", "step1", model(1));
    let study = Study::new(&hub.server.url, HUB);
    let done = study.cpipe(&["run", "--locked"]);
    assert_eq!(done.code, 10);
    assert!(
        done.err.contains("source `w` is not in cpipe.lock"),
        "{}",
        done.err
    );
    study.run(&["run"]);
    assert_eq!(weights_of(&study), model(1)["model.safetensors"]);
    assert!(!study.path("outputs/files/README.md").exists());
    assert!(study.read("cpipe.lock").contains(&first));

    let second = hub.push("models", "me/model", "step1", model(2));
    study.run(&["run", "--locked"]);
    assert_eq!(weights_of(&study), model(1)["model.safetensors"]);
    let done = study.run(&["update", "w"]);
    assert!(
        done.out.contains(&format!("commit: {first} → {second}")),
        "{}",
        done.out
    );
    assert!(
        done.out.contains("model.safetensors: 300000 bytes"),
        "{}",
        done.out
    );
    assert!(!done.out.contains("config.json"), "{}", done.out);
    study.run(&["run", "--locked"]);
    assert_eq!(weights_of(&study), model(2)["model.safetensors"]);
    assert_eq!(
        study.run(&["update", "w"]).out,
        "everything is as declared and locked\n"
    );
}

#[test]
fn an_edited_revision_is_looked_up_again() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    hub.push("models", "me/model", "step2", model(2));
    let study = Study::new(&hub.server.url, HUB);
    study.run(&["run"]);
    std::fs::write(study.path("pipeline.yaml"), HUB.replace("step1", "step2")).unwrap();
    assert_eq!(study.cpipe(&["run", "--locked"]).code, 10);
    study.run(&["run"]);
    assert_eq!(weights_of(&study), model(2)["model.safetensors"]);
}

#[test]
fn the_users_hub_cache_is_filled_and_used() {
    let hub = Hub::start();
    let commit = hub.push("models", "me/model", "step1", model(1));
    let study = Study::new(&hub.server.url, HUB);
    study.run(&["run"]);
    let snapshot = format!("hf/hub/models--me--model/snapshots/{commit}/model.safetensors");
    assert_eq!(
        std::fs::read(study.path(&snapshot)).unwrap(),
        model(1)["model.safetensors"]
    );
    assert_eq!(study.read("hf/hub/models--me--model/refs/step1"), commit);

    let sent = hub.server.sent("/store/");
    std::fs::remove_dir_all(study.path("cache")).unwrap();
    std::fs::remove_file(study.path("cpipe.lock")).unwrap();
    let study = study.with("HF_HUB_OFFLINE", "1");
    study.run(&["run"]);
    assert_eq!(hub.server.sent("/store/"), sent);

    std::fs::remove_dir_all(study.path("cache")).unwrap();
    std::fs::remove_dir_all(study.path("hf")).unwrap();
    let done = study.cpipe(&["run"]);
    assert_eq!(done.code, 20);
    assert!(done.err.contains("HF_HUB_OFFLINE is set"), "{}", done.err);
}

#[test]
fn gated_and_missing_repositories_say_what_to_do() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    let missing = Study::new(&hub.server.url, &HUB.replace("step1", "step9"));
    let done = missing.cpipe(&["run"]);
    assert_eq!(done.code, 10);
    assert!(
        done.err.contains("check the repository's name"),
        "{}",
        done.err
    );
    hub.close_with("good");
    let study = Study::new(&hub.server.url, HUB);
    let done = study.cpipe(&["run"]);
    assert!(
        done.err.contains("set HF_TOKEN to a token of yours"),
        "{}",
        done.err
    );
    let study = study.with("HF_TOKEN", "bad");
    let done = study.cpipe(&["run"]);
    assert!(
        done.err.contains("accept its conditions at"),
        "{}",
        done.err
    );
    assert!(!study.path("cpipe.lock").exists());
    study.with("HF_TOKEN", "good").run(&["run"]);
}

#[test]
fn a_file_that_is_not_what_the_hub_says_is_never_taken() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    hub.damage(&model(1)["model.safetensors"]);
    let study = Study::new(&hub.server.url, HUB);
    let done = study.cpipe(&["run"]);
    assert_eq!(done.code, 20);
    assert!(done.err.contains("expected sha256:"), "{}", done.err);
    assert!(!study.path("outputs/files").exists());
    let blobs = std::fs::read_dir(study.path("hf/hub/models--me--model/blobs")).unwrap();
    let large = blobs.filter(|b| b.as_ref().unwrap().metadata().unwrap().len() > 1000);
    assert_eq!(large.count(), 0);
}

#[test]
fn a_download_that_the_disk_breaks_off_is_gone_on_with() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    let study = Study::new(&hub.server.url, HUB);
    // Files may hold 100 KiB; a write beyond that fails as it does on a full disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f 100; exec {} run",
        env!("CARGO_BIN_EXE_cpipe")
    );
    let done = Study::finish(study.command("bash").args(["-c", &script]));
    assert_eq!(done.code, 20, "{}", done.err);
    assert!(done.err.contains("cannot write"), "{}", done.err);
    assert!(!study.path("outputs/files").exists());
    let sent = hub.server.sent("/store/");
    study.run(&["run"]);
    assert_eq!(weights_of(&study), model(1)["model.safetensors"]);
    let rest = hub.server.sent("/store/") - sent;
    assert!(
        rest <= 300_000 - 100 * 1024 + (1 << 16),
        "{rest} bytes were fetched again"
    );
}

#[test]
fn an_archive_is_locked_by_what_is_in_it() {
    let hub = Hub::start();
    let files = [("a/one.txt", &b"first"[..]), ("two.txt", b"second")];
    hub.put("data.zip", zip(&files, 0o100_644));
    let study = Study::new(&hub.server.url, &web(&hub.server.url));
    study.run(&["run"]);
    assert_eq!(study.read("outputs/files/a/one.txt"), "first");
    assert_eq!(
        study.files_with("SECRET_KEY"),
        [study.path("pipeline.yaml")]
    );

    // Everything but the lock and the cache's records gone: keys are known all the same.
    std::fs::remove_dir_all(study.path("cache/v1/downloads")).unwrap();
    let requests = hub.server.requests().len();
    study.run(&["run", "--only", "get"]);
    assert_eq!(hub.server.requests().len(), requests);

    // Another archive in its place is refused, until it is accepted.
    hub.put("data.zip", zip(&[("a/one.txt", b"other")], 0o100_644));
    std::fs::remove_dir_all(study.path("cache")).unwrap();
    let done = study.cpipe(&["run"]);
    assert_eq!(done.code, 20);
    assert!(done.err.contains("cpipe update SOURCE"), "{}", done.err);
    let done = study.run(&["update", "data"]);
    assert!(done.out.contains("served: sha256:"), "{}", done.out);
    study.run(&["run", "--locked"]);
    assert_eq!(study.read("outputs/files/a/one.txt"), "other");
}

#[test]
fn hostile_archives_leave_nothing_and_no_lock() {
    let hub = Hub::start();
    for bytes in [
        zip(&[("../evil", b"x")], 0o100_644),
        zip(&[("l", b"/etc")], 0o120_777),
        tar(&[]),
    ] {
        hub.put("data.zip", bytes);
        let study = Study::new(&hub.server.url, &web(&hub.server.url));
        let done = study.cpipe(&["run"]);
        assert_eq!(done.code, 10, "{}", done.err);
        assert!(done.err.contains("damaged or hostile"), "{}", done.err);
        assert!(!study.path("cpipe.lock").exists());
        assert!(!study.path("evil").exists() && !study.path("outputs").exists());
    }
}

#[test]
fn a_plan_tells_of_a_source_that_nobody_looked_at() {
    let hub = Hub::start();
    let study = Study::new(&hub.server.url, HUB);
    let done = study.run(&["plan"]);
    assert!(done.out.contains("run    get"), "{}", done.out);
    assert_eq!(hub.server.requests().len(), 0);
    let done = study.cpipe(&["run", "--only", "get"]);
    assert_ne!(done.code, 0);
    assert_eq!(hub.server.requests().len(), 0);
}

#[test]
fn what_does_not_fit_on_the_disk_is_refused_before_it_is_fetched() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    let study = Study::new(&hub.server.url, HUB);
    let done = study.run(&["plan"]);
    assert!(
        done.out
            .contains("downloads: 1 sources are not in cpipe.lock"),
        "{}",
        done.out
    );
    study.run(&["update"]);
    assert_eq!(hub.server.sent("/store/"), 0);
    let done = study.run(&["plan"]);
    assert!(
        done.out.contains("downloads: 0.00 GB from 1 sources"),
        "{}",
        done.out
    );

    hub.claim(1 << 60);
    study.run(&["update"]);
    let done = study.run(&["plan"]);
    assert!(
        done.out
            .contains("downloads: 1152921504.61 GB from 1 sources"),
        "{}",
        done.out
    );
    let done = study.cpipe(&["run"]);
    assert_eq!(done.code, 30, "{}", done.err);
    assert!(
        done.err
            .contains("the downloads need 2305843009.21 GB on disk"),
        "{}",
        done.err
    );
    assert_eq!(hub.server.sent("/store/"), 0);
}
