//! The `pythia` profile, end to end.

use crate::archives::{gzip, tar, zip};
use crate::hub::{Hub, SIGNATURE};
use crate::{Study, data, repository};

const MODELS: [&str; 5] = [
    "nano-25k",
    "nano-57k",
    "nano-150k",
    "nano-336k",
    "nano-793k",
];
const STEPS: [u32; 5] = [64, 256, 512, 1024, 2048];
const TOKEN: &str = "hf_SECRET_TOKEN";

/// A hub that has the nano suite where the real one has Pythia and the paper's data.
fn hub(scratch: &Study) -> Hub {
    let hub = Hub::start();
    for model in MODELS {
        for step in STEPS {
            let files = data::files(&format!("models/{model}/step{step}"));
            hub.push(
                "models",
                &format!("nano/{model}"),
                &format!("step{step}"),
                files,
            );
        }
    }
    hub.push(
        "models",
        "nano/tokenizer",
        "step143000",
        data::files("tokenizer"),
    );
    let table = data::table(&data::files("eval/image"), scratch.path("images.parquet"));
    let images = [("data/validation-00000-of-00014.parquet".to_owned(), table)];
    hub.push("datasets", "nano/images", "main", images.into());
    hub.put(
        "text.zip",
        zip(&data::pairs(&data::files("eval/text")), 0o100_644),
    );
    let mut speech = tar(&data::pairs(&data::files("eval/speech")));
    // What lies behind what is taken is never asked for in full.
    speech.truncate(speech.len() - 1024);
    let noise: Vec<u8> = (0..4_000_000u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    speech.extend(tar(&[("more.flac", &noise)]));
    hub.put("speech.tar.gz", gzip(&speech));
    hub
}

/// The `pythia` profile with only its names changed; chunks as the nano profile takes them.
fn overrides(hub: &Hub) -> Vec<String> {
    let url = &hub.server.url;
    let speech = data::pcm_bytes(&data::files("eval/speech"));
    let nominal: Vec<String> = MODELS.iter().map(|m| format!("{m}: 1")).collect();
    [
        format!("matrix.model=[{}]", MODELS.join(", ")),
        format!("matrix.step={STEPS:?}"),
        format!("params_nominal={{{}}}", nominal.join(", ")),
        "sources.tokenizer.hub=nano/tokenizer".to_owned(),
        "sources.weights/${model}/${step}.hub=nano/${model}".to_owned(),
        "sources.eval/image.hub=nano/images".to_owned(),
        format!("sources.eval/text.url={url}/text.zip"),
        format!("sources.eval/text.sha256={}", text_digest()),
        format!("sources.eval/speech.url={url}/speech.tar.gz"),
        format!("sources.eval/speech.take.speech={speech}"),
        "order=even".to_owned(),
        "crops=grid".to_owned(),
    ]
    .into()
}

fn text_digest() -> String {
    let archive = zip(&data::pairs(&data::files("eval/text")), 0o100_644);
    cpipe_engine::digest::sha256(&archive)
}

const CHEAP: [&str; 4] = ["--set", "chunks=2", "--set", "bootstrap=10"];

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

#[test]
fn the_pythia_profile_against_a_hub_gives_the_ratios_of_the_nano_suite() {
    let pipeline = std::fs::read_to_string(repository().join("pipeline.yaml")).unwrap();
    let nano = Study::new("http://127.0.0.1:9", &pipeline);
    std::os::unix::fs::symlink(repository().join("assets"), nano.path("assets")).unwrap();
    let arguments = [&["run", "aggregate"], CHEAP.as_slice()].concat();
    nano.run(&arguments);
    let expected = ratios(&nano.read("outputs/cells.csv"));
    let cells: std::collections::BTreeSet<_> = expected.iter().map(|(key, _)| &key[..3]).collect();
    assert_eq!(cells.len(), 75);

    let study = Study::new("", &pipeline);
    let hub = hub(&study);
    hub.close_with(TOKEN);
    let study = Study {
        endpoint: hub.server.url.clone(),
        ..study
    };
    let study = study.with("HF_TOKEN", TOKEN);
    let sets = overrides(&hub);
    let sets = sets.iter().flat_map(|set| ["--set", set.as_str()]);
    let profile = ["--profile", "pythia"].into_iter().chain(sets).chain(CHEAP);
    let arguments: Vec<&str> = ["run", "aggregate"]
        .into_iter()
        .chain(profile.clone())
        .collect();
    let done = study.run(&arguments);
    assert_eq!(ratios(&study.read("outputs/pythia/cells.csv")), expected);

    // The rest of the speech archive was left where it is, and nothing was fetched twice.
    assert!(
        hub.server.sent("speech.tar.gz") < 2_000_000,
        "{}",
        hub.server.sent("speech")
    );
    let weights: usize = data::files("models/nano-793k/step64")
        .values()
        .map(Vec::len)
        .sum();
    assert!(
        hub.server.sent("/store/") < weights * 5 * 3,
        "{}",
        hub.server.sent("/store/")
    );

    // No secret was kept or shown.
    for secret in [TOKEN, SIGNATURE] {
        assert_eq!(study.files_with(secret), Vec::<std::path::PathBuf>::new());
        assert!(!done.err.contains(secret) && !done.out.contains(secret));
    }

    // All of it is in the lock now: nothing is asked again, and the network may be gone.
    let lock = study.read("cpipe.lock");
    assert_eq!(lock.matches("- source: ").count(), 29);
    let before = hub.server.requests().len();
    let locked: Vec<&str> = ["run", "aggregate", "--locked"]
        .into_iter()
        .chain(profile)
        .collect();
    let again = study.run(&locked);
    assert!(
        again.err.contains("up to date: 0 executed"),
        "{}",
        again.err
    );
    assert_eq!(hub.server.requests().len(), before);
    assert_eq!(study.read("cpipe.lock"), lock);
}
