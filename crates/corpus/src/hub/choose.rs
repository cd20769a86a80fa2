use std::collections::BTreeMap;

use cpipe_engine::spec::HubSource;

use super::api::Listed;
use crate::error::CorpusError;

/// Weights in the order in which they are preferred: all files of one line, of which the first
/// must be there.
const WEIGHTS: [&[&str]; 4] = [
    &["model.safetensors"],
    &["model.safetensors.index.json", "model-*.safetensors"],
    &["pytorch_model.bin"],
    &["pytorch_model.bin.index.json", "pytorch_model-*.bin"],
];

/// The files of a source, in name order.
pub(super) fn choose(
    source: &HubSource,
    listed: &BTreeMap<String, Listed>,
) -> Result<Vec<String>, CorpusError> {
    let (repo, revision) = (&source.repo, &source.revision);
    if source.files.is_empty() {
        return model_files(listed).ok_or_else(|| without_weights(source, listed));
    }
    let mut chosen = Vec::new();
    for pattern in &source.files {
        let before = chosen.len();
        chosen.extend(listed.keys().filter(|name| matches(pattern, name)).cloned());
        if chosen.len() == before {
            return Err(CorpusError::Hub {
                message: format!("`{repo}` at `{revision}` has no file `{pattern}`"),
                hint: format!("it has {}", some_of(listed)),
            });
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

fn without_weights(source: &HubSource, listed: &BTreeMap<String, Listed>) -> CorpusError {
    let (repo, revision) = (&source.repo, &source.revision);
    CorpusError::Hub {
        message: format!("`{repo}` at `{revision}` has no config.json with weights beside it"),
        hint: format!("name its files with `files:`; it has {}", some_of(listed)),
    }
}

fn model_files(listed: &BTreeMap<String, Listed>) -> Option<Vec<String>> {
    let mut chosen = vec![listed.get_key_value("config.json")?.0.clone()];
    let group = WEIGHTS.iter().find(|group| listed.contains_key(group[0]))?;
    for pattern in *group {
        chosen.extend(listed.keys().filter(|name| matches(pattern, name)).cloned());
    }
    chosen.sort_unstable();
    Some(chosen)
}

fn some_of(listed: &BTreeMap<String, Listed>) -> String {
    let names: Vec<&str> = listed.keys().map(String::as_str).take(20).collect();
    match listed.len() - names.len() {
        0 if names.is_empty() => "no files".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Whether a name fits a pattern in which `*` stands for anything but `/`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            let ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            let mut ends = ends.take_while(|at| !tail[..*at].contains('/'));
            ends.any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpipe_engine::spec::RepoKind;

    fn source(files: &[&str]) -> HubSource {
        HubSource {
            repo: "a/b".into(),
            kind: RepoKind::Model,
            revision: "main".into(),
            files: files.iter().map(|f| (*f).to_owned()).collect(),
        }
    }

    fn chosen(files: &[&str], listed: &[&str]) -> Result<Vec<String>, String> {
        let listed = listed.iter().map(|n| ((*n).to_owned(), Listed::default()));
        choose(&source(files), &listed.collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        assert!(matches("data/*.parquet", "data/a-0.parquet"));
        assert!(!matches("data/*.parquet", "data/x/a-0.parquet"));
        assert!(matches("*-of-*", "1-of-2"));
        assert!(!matches("a*b", "ab/b"));
    }

    #[test]
    fn safetensors_are_preferred_whole_or_in_shards() {
        let all = [
            "config.json",
            "model.safetensors",
            "pytorch_model.bin",
            "README.md",
        ];
        assert_eq!(
            chosen(&[], &all).unwrap(),
            ["config.json", "model.safetensors"]
        );
        let shards = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
        ];
        assert_eq!(chosen(&[], &shards).unwrap(), shards);
        let only_torch = ["config.json", "pytorch_model.bin", "training_args.bin"];
        assert_eq!(chosen(&[], &only_torch).unwrap(), only_torch[..2]);
        let shards = [
            "config.json",
            "pytorch_model-00001-of-00002.bin",
            "pytorch_model-00002-of-00002.bin",
            "pytorch_model.bin.index.json",
        ];
        assert_eq!(chosen(&[], &shards).unwrap(), shards);
        assert!(
            chosen(&[], &["config.json", "x.h5"])
                .unwrap_err()
                .contains("no config.json with")
        );
    }

    #[test]
    fn a_pattern_without_a_file_is_an_error() {
        assert_eq!(
            chosen(&["t*.json", "t*"], &["t.json", "x"]).unwrap(),
            ["t.json"]
        );
        let error = chosen(&["y"], &["t.json"]).unwrap_err();
        assert!(error.contains("no file `y`"), "{error}");
    }
}
