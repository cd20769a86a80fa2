//! Typed parameters: enums, options, lists, and the errors about them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;

use super::render;
use crate::spec::{Params, SpecError, tree};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Study {
    #[serde(default)]
    order: Order,
    cut: Option<Cut>,
    #[serde(default)]
    protocols: Vec<Order>,
    #[serde(default)]
    sizes: BTreeMap<String, u64>,
    range: Option<(f64, f64)>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    #[default]
    Even,
    First,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cut {
    Bytes(u32),
    Pixels { width: u8 },
}

fn with<T>(text: &str, read: impl FnOnce(Params<'_>) -> Result<T, SpecError>) -> Result<T, String> {
    let node = tree::parse_value(text).unwrap();
    let params = Params {
        node: &node,
        root: Path::new("/study"),
        sources: &BTreeMap::new(),
    };
    read(params).map_err(|error| render(text, &[error]))
}

fn parse(text: &str) -> Result<Study, String> {
    with(text, |params| params.parse())
}

#[test]
fn values_of_every_shape_are_read() {
    let study = parse(
        "{ order: first, cut: { pixels: { width: 8 } }, protocols: [even], sizes: { a: 1 }, range: [0, 1.5] }",
    );
    let expected = Study {
        order: Order::First,
        cut: Some(Cut::Pixels { width: 8 }),
        protocols: vec![Order::Even],
        sizes: BTreeMap::from([("a".to_owned(), 1)]),
        range: Some((0.0, 1.5)),
    };
    assert_eq!(study, Ok(expected));
    assert_eq!(
        parse("{ cut: { bytes: 3 } }").unwrap().cut,
        Some(Cut::Bytes(3))
    );
    assert_eq!(parse("").unwrap().cut, None);
    assert_eq!(parse("{ cut: ~ }").unwrap().cut, None);
}

#[test]
fn mistakes_stand_where_they_were_made() {
    let cases = [
        "{ order: frist }",
        "{ order: 3 }",
        "{ order: { first: 3 } }",
        "{ cut: bytes }",
        "{ cut: { byts: 3 } }",
        "{ cut: { bytes: 5000000000 } }",
        "{ cut: { pixels: { width: 256 } } }",
        "{ cut: { pixels: {} } }",
        "{ protocols: [even, odd] }",
        "{ protocols: even }",
        "{ sizes: { a: big } }",
        "{ range: [0, 1, 2] }",
        "{ range: [0] }",
        "[1]",
    ];
    let mut all = String::new();
    for text in cases {
        let _ = write!(all, "{text}\n{}", parse(text).unwrap_err());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn an_invalid_value_is_marked_as_near_as_it_is_written() {
    let text = "{ cut: { bytes: 0 }, protocols: [even, first] }";
    let at = |path: &str| {
        let error = with(text, |params| Err::<(), _>(params.invalid(path, "no"))).unwrap_err();
        error.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(at("cut.bytes"), "1:17 no");
    assert_eq!(at("protocols.1"), "1:40 no");
    assert_eq!(at("missing.cut"), "1:1 no");
}
