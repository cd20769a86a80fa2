//! The `pythia` profile, end to end, as it stands in pipeline.yaml: nothing of it is changed but where
//! things lie (the hub's endpoint, two URLs), the digest of the file that lies there in the place of
//! enwik8, and the number of chunks, of which the nano suite has fewer than 2,048. Its ratios are those of
//! the `nano` profile, of which only the number of chunks is changed.

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

/// What the `nano` profile scores of each modality: its chunks, one after the other.
struct Chunks {
    text: Vec<u8>,
    image: Vec<u8>,
    speech: Vec<u8>,
}

impl Chunks {
    /// Those of a study that ran.
    fn of(nano: &Study) -> Self {
        let of = |modality: &str| {
            let output = format!("chunk[modality={modality}]:chunks.bin");
            let chunks = nano.bytes(&["cat", &output, CHUNKS[0], CHUNKS[1]]);
            assert_eq!(chunks.len(), COUNT * 2048);
            chunks
        };
        Self {
            text: of("text"),
            image: of("image"),
            speech: of("speech"),
        }
    }

    /// A file that begins like enwik8, if enwik8 began with these.
    fn text(&self) -> Vec<u8> {
        let more = data::files("eval/text").into_values().flatten();
        let all: Vec<u8> = self.text.iter().copied().chain(more).collect();
        zip(&[("enwik8", all.as_slice())], 0o100_644)
    }

    /// A picture of each chunk, so small that there is one crop of it; one that is too small for any.
    fn pictures(&self) -> Files {
        let named = |(i, chunk): (usize, &[u8])| (format!("{i:02}.png"), data::gray(chunk, 64));
        let mut pictures: Files = self.image.chunks(2048).enumerate().map(named).collect();
        pictures.insert(
            "00-small.png".to_owned(),
            data::gray(&self.image[..1024], 32),
        );
        pictures
    }

    /// The chunks as one utterance, then the suite's again and again until there are more than 4 MiB of
    /// PCM, and then much that must not be read.
    fn speech(&self) -> Vec<u8> {
        let utterances = data::files("eval/speech");
        let rounds = (4 << 20) / data::pcm_bytes(&utterances) + 1;
        let mut files = Files::from([("0.flac".to_owned(), data::flac(&self.speech))]);
        for round in 1..=rounds {
            let named =
                |(name, bytes): (&String, &Vec<u8>)| (format!("{round}/{name}"), bytes.clone());
            files.extend(utterances.iter().map(named));
        }
        let noise = (0..9_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8);
        files.insert("z.flac".to_owned(), noise.collect());
        gzip(&tar(&data::pairs(&files)))
    }
}

/// A hub that has the nano suite under the names of Pythia and of the paper's data.
fn hub(scratch: &Study, chunks: &Chunks) -> Hub {
    let hub = Hub::start();
    for (model, nano_model) in MODELS {
        for (step, nano_step) in STEPS {
            let files = data::files(&format!("models/{nano_model}/step{nano_step}"));
            let files = as_published(model, step, files);
            let (repo, revision) = (format!("EleutherAI/{model}"), format!("step{step}"));
            hub.push("models", &repo, &revision, files);
        }
    }
    let table = data::table(&chunks.pictures(), scratch.path("images.parquet"));
    let images = [("data/validation-00000-of-00014.parquet".to_owned(), table)];
    hub.push("datasets", "ILSVRC/imagenet-1k", "main", images.into());
    hub.put("enwik8.zip", chunks.text());
    hub.put("train-clean-100.tar.gz", chunks.speech());
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

/// Where the files that are on no hub lie, and the digest of the one that has to have another.
fn places(hub: &Hub, chunks: &Chunks) -> [String; 3] {
    let url = &hub.server.url;
    [
        format!("sources.eval/text.url={url}/enwik8.zip"),
        format!("sources.eval/text.sha256={}", sha256(&chunks.text())),
        format!("sources.eval/speech.url={url}/train-clean-100.tar.gz"),
    ]
}

/// As few as show that they are chosen and ordered alike.
const COUNT: usize = 8;
const CHUNKS: [&str; 2] = ["--set", "chunks=8"];

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
    nano.run(&[&["run", "aggregate"], CHUNKS.as_slice()].concat());
    let expected = ratios(&nano.read("outputs/cells.csv"));
    let cells: BTreeSet<_> = expected.iter().map(|(key, _)| &key[..3]).collect();
    assert_eq!(cells.len(), 75);

    let chunks = Chunks::of(&nano);
    let study = Study::new("", &pipeline);
    let hub = hub(&study, &chunks);
    hub.close_with(TOKEN);
    let study = Study {
        endpoint: hub.server.url.clone(),
        ..study
    };
    let study = study.with("HF_TOKEN", TOKEN);
    let places = places(&hub, &chunks);
    let mut profile = vec!["--profile", "pythia", CHUNKS[0], CHUNKS[1]];
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
