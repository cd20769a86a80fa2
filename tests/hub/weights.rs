//! The weights of a revision in other files than the one safetensors file of the nano suite.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::hub::{Files, Hub};
use crate::pickles::{archive, dictionary, tensor};
use crate::{Study, data, repository};

const SINGLE: &str = "model.safetensors";

/// The tensors of a safetensors file: name → description, and the bytes of all of them.
fn tensors(file: &[u8]) -> (Map<String, Value>, &[u8]) {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let (header, bytes) = file[8..].split_at(length);
    let mut header: Map<String, Value> = serde_json::from_slice(header).unwrap();
    header.remove("__metadata__");
    (header, bytes)
}

fn numbers(value: &Value) -> Vec<i64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// A safetensors file of every second tensor.
fn shard(file: &[u8], number: usize) -> (Vec<u8>, Vec<String>) {
    let (all, bytes) = tensors(file);
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, mut info) in all.into_iter().skip(number).step_by(2) {
        let at = numbers(&info["data_offsets"]);
        let start = data.len();
        data.extend(&bytes[at[0] as usize..at[1] as usize]);
        info["data_offsets"] = json!([start, data.len()]);
        header.insert(name, info);
    }
    let names = header.keys().cloned().collect();
    let mut text = Value::Object(header).to_string();
    // The data are aligned.
    text += &" ".repeat(text.len().next_multiple_of(8) - text.len());
    let length = (text.len() as u64).to_le_bytes();
    ([&length[..], text.as_bytes(), &data].concat(), names)
}

/// The same model with its weights in two shards.
pub(crate) fn in_shards(mut files: Files) -> Files {
    let whole = files.remove(SINGLE).unwrap();
    let mut index = BTreeMap::new();
    for number in 0..2 {
        let file = format!("model-{:05}-of-00002.safetensors", number + 1);
        let (bytes, names) = shard(&whole, number);
        index.extend(names.into_iter().map(|name| (name, file.clone())));
        files.insert(file, bytes);
    }
    let index = json!({"metadata": {}, "weight_map": index}).to_string();
    files.insert(format!("{SINGLE}.index.json"), index.into());
    files
}

/// The same model as `torch.save` would write it, all tensors in one storage.
pub(crate) fn pickled(mut files: Files) -> Files {
    let whole = files.remove(SINGLE).unwrap();
    let (header, bytes) = tensors(&whole);
    let entry = |(name, info): (String, Value)| {
        let shape = numbers(&info["shape"]);
        let mut strides: Vec<i64> = shape
            .iter()
            .rev()
            .scan(1, |n, size| {
                *n *= size;
                Some(*n / size)
            })
            .collect();
        strides.reverse();
        assert_eq!(info["dtype"], "F16");
        let (count, offset) = (
            bytes.len() as i64 / 2,
            numbers(&info["data_offsets"])[0] / 2,
        );
        (name, tensor("HalfStorage", count, offset, &shape, &strides))
    };
    let pickle = dictionary(&header.into_iter().map(entry).collect::<Vec<_>>());
    let records = [
        ("pytorch_model/data.pkl", pickle.as_slice()),
        ("pytorch_model/data/0", bytes),
    ];
    files.insert("pytorch_model.bin".into(), archive(&records));
    files
}

/// One model from three repositories.
const PIPELINE: &str = "version: 1
sources:
  text: { path: TEXT }
  tokenizer: { path: TOKENIZER }
  weights/${form}: { hub: 'me/${form}' }
matrix: { form: [whole, shards, pickled] }
stages:
  tokenizer: { run: { download: { source: tokenizer } } }
  text: { run: { download: { source: text } } }
  chunk: { needs: { source: text }, run: { chunk: { decode: text, bytes: 256, count: 2 } } }
  tokenize: { needs: { chunks: chunk, tokenizer: tokenizer }, run: { tokenize: { mapping: mask7 } } }
  weights: { over: [form], run: { download: { source: 'weights/${form}' } } }
  score:
    over: [form]
    needs: { tokens: tokenize, weights: weights }
    run: { score: { protocols: [full] } }
";

fn study(hub: &Hub) -> Study {
    let assets = repository().join("assets/nano");
    let path = |name: &str| assets.join(name).display().to_string();
    let pipeline = PIPELINE
        .replace("TEXT", &path("eval/text"))
        .replace("TOKENIZER", &path("tokenizer"));
    Study::new(&hub.server.url, &pipeline)
}

#[test]
fn shards_and_pytorch_files_score_like_one_safetensors_file() {
    let hub = Hub::start();
    let files = data::files("models/nano-25k/step2048");
    hub.push("models", "me/whole", "main", files.clone());
    hub.push("models", "me/shards", "main", in_shards(files.clone()));
    let mut torch = pickled(files);
    torch.insert("training_args.bin".into(), vec![0; 50_000]);
    hub.push("models", "me/pickled", "main", torch.clone());
    let study = study(&hub);
    study.run(&["update"]);
    let lock = study.read("cpipe.lock");
    let size = torch["pytorch_model.bin"].len() + torch["config.json"].len();
    assert!(lock.contains(&format!("  size: {size}\n")), "{lock}");
    assert!(!lock.contains("training_args"), "{lock}");
    study.run(&["run"]);
    let scores = |form: &str| {
        let output = format!("score[form={form}]:scores.parquet");
        study.run(&["cat", &output, "--format", "csv"]).out
    };
    assert_eq!(scores("whole"), scores("shards"));
    assert_eq!(scores("whole"), scores("pickled"));
}

#[test]
fn a_pickle_that_would_run_something_stops_the_node_and_runs_nothing() {
    let hub = Hub::start();
    let files = data::files("models/nano-25k/step2048");
    hub.push("models", "me/whole", "main", files.clone());
    hub.push("models", "me/shards", "main", in_shards(files.clone()));
    let mut torch = pickled(files);
    let pickle = b"\x80\x02cos\nsystem\nX\x0a\0\0\0touch evil\x85R.";
    let hostile = archive(&[("pytorch_model/data.pkl", pickle)]);
    torch.insert("pytorch_model.bin".into(), hostile);
    hub.push("models", "me/pickled", "main", torch);
    let study = study(&hub);
    let done = study.cpipe(&["run"]);
    assert_eq!(done.code, 20, "{}", done.err);
    assert!(done.err.contains("it wants `os.system`"), "{}", done.err);
    assert!(!study.path("evil").exists());
}
