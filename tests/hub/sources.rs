//! One source at a time: the lock, the hub cache, access, damage, interruptions.

use crate::Study;
use crate::archives::{tar, zip};
use crate::hub::{Files, Hub, SIGNATURE};
use crate::server::{Reply, Server};

pub(crate) const HUB: &str = "version: 1
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

pub(crate) fn model(fill: u8) -> Files {
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
fn a_busy_hub_is_asked_again() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    let study = Study::new(&hub.server.url, HUB);
    hub.be_busy(2);
    study.run(&["update"]);
    hub.be_busy(2);
    study.run(&["run"]);
    assert_eq!(weights_of(&study), model(1)["model.safetensors"]);
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
fn a_file_of_another_length_than_the_hub_says_is_never_taken() {
    for claimed in [299_999, 300_001] {
        let hub = Hub::start();
        hub.push("models", "me/model", "step1", model(1));
        hub.claim("me/model/model.safetensors", claimed);
        let study = Study::new(&hub.server.url, HUB);
        let done = study.cpipe(&["run"]);
        assert_eq!(done.code, 20, "{}", done.err);
        let expected = format!("has 300000 bytes, expected {claimed}");
        assert!(done.err.contains(&expected), "{}", done.err);
        assert!(!study.path("outputs/files").exists());
    }
}

#[test]
fn no_failure_tells_a_secret() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    hub.close_with("hf_RIGHT_SECRET");
    let secrets = ["hf_RIGHT_SECRET", "hf_WRONG_SECRET", SIGNATURE];
    let assert_kept = |study: &Study, arguments: &[&str]| {
        let done = study.cpipe(arguments);
        for secret in secrets {
            assert!(!done.out.contains(secret), "{}", done.out);
            assert!(!done.err.contains(secret), "{}", done.err);
            assert!(study.files_with(secret).is_empty(), "{secret}");
        }
    };
    let study = Study::new(&hub.server.url, HUB).with("HF_TOKEN", "hf_WRONG_SECRET");
    assert_kept(&study, &["run", "--json"]);
    assert_kept(&study, &["update", "w"]);
    // The lock is there, and the node fails at a URL with a signature.
    let study = study.with("HF_TOKEN", "hf_RIGHT_SECRET");
    study.run(&["update", "w"]);
    hub.damage(&model(1)["model.safetensors"]);
    for arguments in [
        &["run", "--json"][..],
        &["run"],
        &["why", "get"],
        &["log", "get"],
        &["show", "latest"],
        &["runs"],
        &["plan"],
    ] {
        assert_kept(&study, arguments);
    }
}

#[test]
fn a_download_that_the_disk_breaks_off_is_gone_on_with() {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    let study = Study::new(&hub.server.url, HUB);
    let done = study.cpipe_with_disk(100, "run");
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

    // Nor what is given on the command line.
    let url = format!("sources.data.url={}/data.zip?key=OTHER_KEY", hub.server.url);
    study.run(&["run", "--set", &url]);
    assert!(study.files_with("OTHER_KEY").is_empty());
    assert!(!study.run(&["runs"]).out.contains("OTHER_KEY"));

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
fn hostile_and_truncated_archives_leave_nothing_and_no_lock() {
    let hub = Hub::start();
    let whole = zip(&[("one.txt", b"first"), ("two.txt", b"second")], 0o100_644);
    for bytes in [
        zip(&[("../evil", b"x")], 0o100_644),
        zip(&[("l", b"/etc")], 0o120_777),
        whole[..whole.len() - 30].to_vec(),
        whole[..40].to_vec(),
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
fn what_a_full_disk_broke_off_while_unpacking_is_not_taken_for_whole() {
    let hub = Hub::start();
    let large = vec![7; 2_000_000];
    let files = [("one.txt", &b"first"[..]), ("two.txt", &large)];
    hub.put("data.zip", zip(&files, 0o100_644));
    let study = Study::new(&hub.server.url, &web(&hub.server.url));
    let done = study.cpipe_with_disk(500, "run");
    assert_eq!(done.code, 10, "{}", done.err);
    assert!(done.err.contains("cannot write"), "{}", done.err);
    assert!(done.err.contains("the disk is not full"), "{}", done.err);
    assert!(!study.path("cpipe.lock").exists() && !study.path("outputs").exists());
    study.run(&["run"]);
    assert_eq!(
        std::fs::read(study.path("outputs/files/two.txt")).unwrap(),
        large
    );
}

#[test]
fn servers_that_refuse_say_what_to_do() {
    for (status, advice) in [
        (401, "does not let everybody in: fetch the file yourself"),
        (403, "does not let everybody in: fetch the file yourself"),
        (404, "correct the URL, or add a mirror"),
        (410, "correct the URL, or add a mirror"),
    ] {
        let server = Server::start(move |_| Reply::status(status));
        let study = Study::new(&server.url, &web(&server.url));
        let done = study.cpipe(&["run"]);
        assert_eq!(done.code, 10, "{}", done.err);
        assert!(
            done.err.contains(&format!("answered {status}")),
            "{}",
            done.err
        );
        assert!(done.err.contains(advice), "{}", done.err);
        assert!(!done.err.contains("SECRET_KEY"), "{}", done.err);
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

    hub.claim("me/model/model.safetensors", 1 << 60);
    study.run(&["update"]);
    // Twice that, unless the disk lets copies share their blocks.
    let needed = ["2305843009.21", "1152921504.61"]
        .map(|size| format!("the downloads need {size} GB on disk"));
    for command in ["plan", "run"] {
        let done = study.cpipe(&[command]);
        assert_eq!(done.code, 30, "{}", done.err);
        assert!(needed.iter().any(|n| done.err.contains(n)), "{}", done.err);
        let line = "downloads: 1152921504.61 GB from 1 sources; disk: ";
        assert_eq!(done.out.contains(line), command == "plan", "{}", done.out);
    }
    assert_eq!(hub.server.sent("/store/"), 0);
}
