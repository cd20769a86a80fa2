//! The `pythia` profile, end to end, as it stands in pipeline.yaml: nothing of it is changed but where
//! things lie (the hub's endpoint, two URLs), the digest of the file that lies there in the place of
//! enwik8, and the number of chunks, of which the nano suite has fewer than 2,048.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cpipe_engine::digest::sha256;

use crate::archives::{gzip, tar, zip};
use crate::hub::{Files, Hub, SIGNATURE};
use crate::{Study, data, repository, weights};

/// Each of Pythia's sizes, and what the hub has in its place.
const MODELS: [(&str, &str); 5] = [
    ("pythia-70m", "nano-25k"),
    ("pythia-160m", "nano-57k"),
    ("pythia-410m", "nano-150k"),
    ("pythia-1b", "nano-336k"),
    ("pythia-1.4b", "nano-793k"),
];
/// The same for its checkpoints.
const STEPS: [(&str, &str); 5] = [
    ("1000", "64"),
    ("8000", "256"),
    ("32000", "512"),
    ("128000", "1024"),
    ("143000", "2048"),
];
const TOKEN: &str = "hf_SECRET_TOKEN";

/// A hub that has the nano suite under the names of Pythia and of the paper's data.
fn hub(scratch: &Study) -> Hub {
    let hub = Hub::start();
    for (model, nano_model) in MODELS {
        for (step, nano_step) in STEPS {
            let files = data::files(&format!("models/{nano_model}/step{nano_step}"));
            let files = as_published(model, step, files);
            let (repo, revision) = (format!("EleutherAI/{model}"), format!("step{step}"));
            hub.push("models", &repo, &revision, files);
        }
    }
    let table = data::table(&data::files("eval/image"), scratch.path("images.parquet"));
    let images = [("data/validation-00000-of-00014.parquet".to_owned(), table)];
    hub.push("datasets", "ILSVRC/imagenet-1k", "main", images.into());
    hub.put("enwik8.zip", text());
    hub.put("train-clean-100.tar.gz", speech());
    hub
}

/// Some revisions have their weights in shards, some only as `torch.save` wrote them; one has the tokenizer.
fn as_published(model: &str, step: &str, files: Files) -> Files {
    match (model, step) {
        ("pythia-70m", "143000") => files.into_iter().chain(data::files("tokenizer")).collect(),
        ("pythia-160m", _) => weights::pickled(files),
        ("pythia-1b", "1000") => weights::in_shards(files),
        _ => files,
    }
}

fn text() -> Vec<u8> {
    zip(&data::pairs(&data::files("eval/text")), 0o100_644)
}

/// The suite's utterances again and again until there are more than 4 MiB of PCM, and then much that
/// must not be read.
fn speech() -> Vec<u8> {
    let utterances = data::files("eval/speech");
    let rounds = (4 << 20) / data::pcm_bytes(&utterances) + 1;
    let mut files = Files::new();
    for round in 0..rounds {
        let named = |(name, bytes): (&String, &Vec<u8>)| (format!("{round}/{name}"), bytes.clone());
        files.extend(utterances.iter().map(named));
    }
    let noise = (0..9_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8);
    files.insert("z.flac".to_owned(), noise.collect());
    gzip(&tar(&data::pairs(&files)))
}

/// Where the files that are on no hub lie, and the digest of the one that has to have another.
fn places(hub: &Hub) -> [String; 3] {
    let url = &hub.server.url;
    [
        format!("sources.eval/text.url={url}/enwik8.zip"),
        format!("sources.eval/text.sha256={}", sha256(&text())),
        format!("sources.eval/speech.url={url}/train-clean-100.tar.gz"),
    ]
}

/// The suite has two pictures, so a crop of each is all that it can give.
const CHUNKS: &str = "chunks=2";
/// How the `pythia` profile chooses chunks.
const CHOICE: [&str; 6] = [
    "--set",
    CHUNKS,
    "--set",
    "order=first",
    "--set",
    "crops=one",
];

/// (model, step, modality, protocol) and the ratio of every row.
fn ratios(csv: &str) -> Vec<(Vec<String>, String)> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name: &str| header.iter().position(|found| *found == name).unwrap();
    let keys = ["model", "step", "modality", "protocol"].map(column);
    let ratio = column("cr_mean");
    let row = |line: Vec<&str>| {
        (
            keys.map(|at| line[at].to_owned()).to_vec(),
            line[ratio].to_owned(),
        )
    };
    let mut rows: Vec<_> = lines.map(row).collect();
    rows.sort();
    rows
}

/// The row of the nano suite that a row of Pythia's stands for.
fn in_nano((mut key, ratio): (Vec<String>, String)) -> (Vec<String>, String) {
    let other = |names: [(&str, &str); 5], name: &str| {
        let found = names.into_iter().find(|(pythia, _)| *pythia == name);
        found.unwrap().1.to_owned()
    };
    (key[0], key[1]) = (other(MODELS, &key[0]), other(STEPS, &key[1]));
    (key, ratio)
}

#[test]
fn the_pythia_profile_against_a_hub_gives_the_ratios_of_the_nano_suite() {
    let pipeline = std::fs::read_to_string(repository().join("pipeline.yaml")).unwrap();
    let nano = Study::new("http://127.0.0.1:9", &pipeline);
    std::os::unix::fs::symlink(repository().join("assets"), nano.path("assets")).unwrap();
    nano.run(&[&["run", "aggregate"], CHOICE.as_slice()].concat());
    let expected = ratios(&nano.read("outputs/cells.csv"));
    let cells: BTreeSet<_> = expected.iter().map(|(key, _)| &key[..3]).collect();
    assert_eq!(cells.len(), 75);

    let study = Study::new("", &pipeline);
    let hub = hub(&study);
    hub.close_with(TOKEN);
    let study = Study {
        endpoint: hub.server.url.clone(),
        ..study
    };
    let study = study.with("HF_TOKEN", TOKEN);
    let places = places(&hub);
    let mut profile = vec!["--profile", "pythia", "--set", CHUNKS];
    profile.extend(places.iter().flat_map(|set| ["--set", set.as_str()]));
    let done = study.run(&[&["run"], profile.as_slice()].concat());
    let found = ratios(&study.read("outputs/pythia/cells.csv"));
    let mut found: Vec<_> = found.into_iter().map(in_nano).collect();
    found.sort();
    assert_eq!(found, expected);
    assert!(study.path("outputs/pythia/figures/law.svg").exists());

    // The rest of the speech archive was left where it is, and nothing was fetched twice.
    let taken = hub.server.sent("train-clean-100");
    assert!(taken < 5_000_000, "{taken} bytes of speech");
    let largest: usize = data::files("models/nano-793k/step64")
        .values()
        .map(Vec::len)
        .sum();
    let stored = hub.server.sent("/store/");
    assert!(stored < largest * 5 * 3, "{stored} bytes of weights");

    // No secret was kept or shown: in records, logs, the lock, messages.
    let shown = study.run(
        &[
            &["show", "weights[model=pythia-70m,step=1000]"],
            profile.as_slice(),
        ]
        .concat(),
    );
    for secret in [TOKEN, SIGNATURE] {
        assert_eq!(study.files_with(secret), Vec::<PathBuf>::new());
        for text in [&done.err, &done.out, &shown.out] {
            assert!(!text.contains(secret));
        }
    }

    // What was measured is what the next plan goes by.
    let seed = ["--set", "seed=1"];
    let plan = study.run(&[&["plan"], profile.as_slice(), &seed].concat());
    let basis = plan.out.matches("min (as measured with 0.").count();
    assert_eq!(basis, 5, "{}", plan.out);

    // All of it is in the lock now: nothing is asked again, and the network may be gone.
    let lock = study.read("cpipe.lock");
    assert_eq!(lock.matches("- source: ").count(), 29);
    let before = hub.server.requests().len();
    let again = study.run(&[&["run", "--locked"], profile.as_slice()].concat());
    assert!(
        again.err.contains("up to date: 0 executed"),
        "{}",
        again.err
    );
    assert_eq!(hub.server.requests().len(), before);
    assert_eq!(study.read("cpipe.lock"), lock);
}
