//! Spans, and how values reach parameters.

use std::path::Path;

use super::{load_with, loaded, nodes};
use crate::lock::{Lock, Locked, Origin};
use crate::spec::tree::{self, Node, Value};
use crate::spec::{Location, Options, Take, Unpack};

/// Every scalar and key with the text it spans.
fn spans(node: &Node, text: &str, out: &mut Vec<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| spans(item, text, out)),
        Value::Map(entries) => {
            for (key, inner) in entries {
                out.push(format!("key {}", &text[key.span.clone()]));
                spans(inner, text, out);
            }
        }
        _ => out.push(text[node.span.clone()].to_owned()),
    }
}

#[test]
fn spans_cover_what_was_written() {
    let text =
        "a: 'é x'\nlist: [1, \"zwölf\", ~]\nblock:\n  - ü # comment\n  - { k: &v 2, l: *v }\n";
    let mut found = Vec::new();
    spans(&tree::parse(text).unwrap(), text, &mut found);
    let expected = [
        "key a",
        "'é x'",
        "key list",
        "1",
        "\"zwölf\"",
        "~",
        "key block",
        "ü",
        "key k",
        "2",
        "key l",
        "*v",
    ];
    assert_eq!(found, expected);
}

#[test]
fn values_keep_their_type_alone_and_are_put_into_text() {
    let text = "
version: 1
vars: { n: 7, s: abc }
matrix: { step: [64] }
stages:
  a: { over: [step], run: { make: { count: '${n}', text: '${s}-${step} $${n}' } } }
  b: { over: [step], run: { make: { count: '${step}', text: '${s}' } } }
";
    let expected = ["a[step=64] \"abc-64 ${n}\"7", "b[step=64] \"abc\"64"];
    assert_eq!(nodes(&loaded(text)), expected);
}

#[test]
fn comments_and_the_order_of_keys_change_no_node() {
    let one = "
version: 1
vars: { n: 7, s: abc }
stages:
  a: { run: { make: { count: '${n}', text: '${s}' } } }
";
    let two = "
# The same.
stages:
  a:
    run:
      make:
        text: abc # not a variable
        count: 7
version: 1
";
    assert_eq!(nodes(&loaded(one)), nodes(&loaded(two)));
}

#[test]
fn sources_become_absolute_and_pinned() {
    let hex = "AB".repeat(32);
    let text = format!(
        "version: 1\nvars: {{ dir: data }}\nsources: {{ x: {{ path: '${{dir}}/x', blake3: {hex} }} }}\n\
         stages: {{ r: {{ run: {{ read: {{ source: x }} }} }} }}\n"
    );
    let pipeline = loaded(&text);
    let entry = &pipeline.sources["x"];
    assert_eq!(entry.path(), Some(Path::new("/study/data/x")));
    let pin = entry.pin.as_ref().unwrap();
    assert_eq!(pin.to_string(), format!("blake3:{}", "ab".repeat(32)));
    assert_eq!(text[entry.pin_span.clone().unwrap()], hex);
    let node = pipeline.graph.dag.node_weights().next().unwrap();
    assert_eq!(Some(&*node.work.sources()[0].path), entry.path());
}

const REMOTE: &str = "version: 1
vars: { org: EleutherAI, site: 'https://a.org' }
matrix: { model: [m-70m, m-1.4b], step: [1, 2], other: [x] }
sources:
  'weights/${model}/${step}': { hub: '${org}/${model}', revision: 'step${step}' }
  images: { hub: a/b, type: dataset, files: ['data/*.parquet'] }
  text: { url: '${site}/e.zip', unpack: zip, size: 40MB }
  speech: { url: ['${site}/s.tgz?k=1', 'http://b.org/s.tgz'], unpack: tar.gz, take: { speech: 4MiB } }
  plain: { url: 'https://a.org/dir/f.txt?x=1', sha256: PIN }
stages:
  w: { over: [model, step], run: { read: { source: 'weights/${model}/${step}' } } }
";

fn remote() -> String {
    REMOTE.replace("PIN", &"AB".repeat(32))
}

#[test]
fn a_name_with_axes_is_a_source_per_cell() {
    let pipeline = loaded(&remote());
    let Location::Hub(hub) = &pipeline.sources["weights/m-1.4b/2"].location else {
        panic!("not a hub source");
    };
    assert_eq!(
        (hub.repo.as_str(), hub.revision.as_str()),
        ("EleutherAI/m-1.4b", "step2")
    );
    assert_eq!(pipeline.sources.len(), 8);
    assert_eq!(pipeline.graph.dag.node_count(), 4);
}

#[test]
fn a_file_that_is_not_unpacked_is_pinned_by_its_declared_digest() {
    let pipeline = loaded(&remote());
    let listing = format!("{}  f.txt\n", "ab".repeat(32));
    let pin = pipeline.sources["plain"].pin.as_ref().unwrap();
    assert_eq!(pin.hex, crate::digest::sha256(listing.as_bytes()));
    assert!(pipeline.sources["text"].pin.is_none());
    let Location::Url(text) = &pipeline.sources["text"].location else {
        panic!("not a URL");
    };
    assert_eq!((text.unpack, text.limit), (Unpack::Zip, Some(40_000_000)));
}

#[test]
fn the_lock_pins_what_is_not_declared() {
    let digest = format!("blake3:{}", "12".repeat(32));
    let mut lock = Lock::default();
    lock.insert(Locked {
        source: "speech".into(),
        from: Origin::Url {
            url: "https://a.org/s.tgz".into(),
            unpack: Unpack::TarGz,
            take: Some(Take::Speech(4 << 20)),
        },
        commit: None,
        digest: digest.parse().unwrap(),
        served: None,
        size: 1,
        date: "2026-11-24".into(),
        files: std::collections::BTreeMap::new(),
    });
    let options = Options {
        lock,
        ..Options::default()
    };
    let pipeline = load_with(&remote(), &options).unwrap();
    let pin = pipeline.sources["speech"].pin.as_ref().unwrap();
    assert_eq!(pin.to_string(), digest);
}
