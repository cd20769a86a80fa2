//! cpipe.lock: what is written is read, and what counts.

use super::*;
use crate::digest::Algorithm;
use crate::spec::RepoKind;

fn hub(revision: &str) -> HubSource {
    HubSource {
        repo: "EleutherAI/pythia-70m".into(),
        kind: RepoKind::Model,
        revision: revision.into(),
        files: Vec::new(),
    }
}

fn entry(source: &str, from: Origin) -> Locked {
    Locked {
        source: source.into(),
        from,
        commit: Some("a".repeat(40)),
        digest: Pin {
            algorithm: Algorithm::Sha256,
            hex: "b".repeat(64),
        },
        served: None,
        size: 7,
        date: "2026-11-24".into(),
        files: BTreeMap::from([(
            "model.safetensors".to_owned(),
            LockedFile {
                size: 7,
                sha256: "c".repeat(64),
            },
        )]),
    }
}

fn url(take: Option<Take>) -> UrlSource {
    UrlSource {
        urls: vec![
            "https://a.org/x.tar?key=1".into(),
            "https://b.org/x.tar".into(),
        ],
        unpack: Unpack::Tar,
        take,
        limit: None,
        digest: None,
    }
}

fn from_b() -> Origin {
    Origin::Url {
        url: "https://b.org/x.tar".into(),
        unpack: Unpack::Tar,
        take: Some(Take::Speech(9)),
    }
}

#[test]
fn what_is_written_is_read_and_sorted() {
    let mut lock = Lock::default();
    lock.insert(entry("weights/b", Origin::Hub(hub("step2"))));
    lock.insert(entry("weights/b", Origin::Hub(hub("step1"))));
    lock.insert(entry("a \"quoted\": name", from_b()));
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).unwrap(), lock);
    insta::assert_snapshot!(text);
    let empty = Lock::default();
    assert_eq!(Lock::parse(&empty.to_text()).unwrap(), empty);
}

#[test]
fn what_was_seen_is_read_back_as_it_was_written() {
    let source = |name: Option<&str>, path: &str| LocalSource {
        name: name.map(str::to_owned),
        path: path.into(),
    };
    let mut lock = Lock::default();
    lock.see(source(Some("b"), "x"), Some("blake3:1 executable".into()));
    lock.see(source(Some("a \"q\""), "x: y"), Some("blake3:2".into()));
    lock.see(source(None, "in.txt"), Some("blake3:3".into()));
    lock.see(source(None, "in.txt"), Some("blake3:3".into()));
    lock.see(source(Some("b"), "y"), Some("blake3:4".into()));
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).unwrap(), lock);
    assert_eq!(lock.seen(&source(Some("b"), "y")).unwrap(), "blake3:4");
    assert_eq!(lock.seen(&source(Some("c"), "y")), None);
    insta::assert_snapshot!(text);
}

#[test]
fn an_entry_counts_only_for_the_same_question() {
    let mut lock = Lock::default();
    lock.insert(entry("w", Origin::Hub(hub("step1"))));
    lock.insert(entry("s", from_b()));
    assert!(lock.of_hub("w", &hub("step1")).is_some());
    assert!(lock.of_hub("w", &hub("step2")).is_none());
    assert!(lock.of_hub("v", &hub("step1")).is_none());
    assert!(lock.of_url("s", &url(Some(Take::Speech(9)))).is_some());
    assert!(lock.of_url("s", &url(Some(Take::Speech(8)))).is_none());
    assert!(lock.of_url("s", &url(None)).is_none());
}

#[test]
fn a_declared_digest_outranks_the_lock() {
    let served = format!("sha256:{}", "d".repeat(64));
    let mut lock = Lock::default();
    let found = Locked {
        served: Some(served.clone()),
        ..entry("s", from_b())
    };
    lock.insert(found);
    let mut source = url(Some(Take::Speech(9)));
    source.digest = Some(served.parse().unwrap());
    assert!(lock.of_url("s", &source).is_some());
    source.digest = Some(format!("sha256:{}", "e".repeat(64)).parse().unwrap());
    assert!(lock.of_url("s", &source).is_none());
}

#[test]
fn a_damaged_lock_is_an_error_with_its_place() {
    let text = "version: 1\nsources:\n- source: a\n  form: 1\n";
    let error = Lock::parse(text).unwrap_err();
    assert_eq!(&text[error.span.unwrap()], "form");
    assert!(Lock::parse("version: 3\nsources: []\n").is_err());
    assert!(Lock::parse("<<<<<<< HEAD\n").is_err());
}

#[test]
fn an_empty_lock_and_a_merge_conflict_are_called_by_name() {
    for text in ["", "\n \n", HEAD] {
        let error = Lock::parse(text).unwrap_err();
        assert_eq!(error.message, "this lock file is empty");
        assert!(error.help.unwrap().contains("`cpipe run` writes a new one"));
    }
    let ours = "version: 1\nsources:\n<<<<<<< HEAD\n- source: a\n=======\n- source: b\n>>>>>>> b\n";
    let error = Lock::parse(ours).unwrap_err();
    assert_eq!(error.message, "this lock file holds a merge conflict");
    assert_eq!(&ours[error.span.unwrap()], "<<<<<<< HEAD");
    assert!(error.help.unwrap().contains("`cpipe update`"));
}
