use serde_json::json;

use super::*;

fn keys(value: Value) -> Keys {
    let Value::Object(map) = value else {
        panic!("expected a dictionary")
    };
    Keys::new(map, &BTreeSet::new())
}

#[test]
fn sizes_are_whole_numbers_in_any_spelling() {
    let mut read = keys(json!({"a": 3, "b": 1e6, "c": 64.0, "d": null}));
    assert_eq!(read.count("a"), Ok(3));
    assert_eq!(read.count("b"), Ok(1_000_000));
    assert_eq!(read.count("c"), Ok(64));
    assert_eq!(read.count_if("d"), Ok(None));
    assert!(read.count("e").unwrap_err().contains("`e` is missing"));
    for wrong in [
        json!(0),
        json!(-3),
        json!(2.5),
        json!("3"),
        json!([3]),
        json!(true),
        json!(1e300),
        json!(u64::MAX),
    ] {
        let error = keys(json!({ "size": wrong })).count("size").unwrap_err();
        let start = format!("`size` is {wrong}, expected a whole number");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn a_key_that_nobody_knows_is_refused_by_name_unless_it_has_no_value() {
    let mut read = keys(json!({"a": 1, "use_cache": true, "b": null, "c": {"d": 2}, "e": 3}));
    read.count("a").unwrap();
    let error = read.finish(&[COMMON]).unwrap_err();
    assert!(error.contains("`c` is {\"d\":2}"), "{error}");
    assert!(error.contains("`e` is 3"), "{error}");
    assert!(error.contains("`ignore`"), "{error}");
    assert!(
        !error.contains("`b`") && !error.contains("use_cache"),
        "{error}"
    );
}

#[test]
fn a_key_may_pass_with_some_values_only() {
    let pass = |value: Value| {
        keys(json!({"size": 8, "k": value}))
            .finish(&[&[Known::Any("size"), Known::Only("k", &["1", "{}"])]])
    };
    assert_eq!(pass(json!(1.0)), Ok(()));
    assert_eq!(pass(json!({})), Ok(()));
    let error = pass(json!(2)).unwrap_err();
    assert!(error.contains("`k` is 2, expected 1 or {}"), "{error}");
    let alias = |value: Value| {
        keys(json!({"size": 8, "k": value}))
            .finish(&[&[Known::Any("size"), Known::Same("k", "size")]])
    };
    assert_eq!(alias(json!(8.0)), Ok(()));
    let error = alias(json!(9)).unwrap_err();
    assert!(error.contains("`k` is 9, expected 8 as `size`"), "{error}");
}

#[test]
fn what_is_ignored_is_as_if_it_were_not_there() {
    let Value::Object(map) = json!({"a": 1, "b": 2}) else {
        unreachable!()
    };
    let ignore = BTreeSet::from(["b".to_owned(), "not there".to_owned()]);
    let mut read = Keys::new(map, &ignore);
    assert_eq!(read.count("a"), Ok(1));
    assert!(!read.has("b"));
    assert_eq!(read.finish(&[]), Ok(()));
}

#[test]
fn what_is_ignored_inside_a_key_has_its_dotted_name() {
    let read = |ignore: &[&str]| {
        let Value::Object(map) = json!({"rope_scaling": {"factor": 4.0, "beta": 1}}) else {
            unreachable!()
        };
        let ignore = ignore.iter().map(|key| (*key).to_owned()).collect();
        ROPE.read(&mut Keys::new(map, &ignore))
    };
    let error = read(&["beta", "factor"]).unwrap_err();
    assert!(error.contains("`rope_scaling.factor` is 4.0"), "{error}");
    let error = read(&["rope_scaling.factor"]).unwrap_err();
    assert!(error.contains("`rope_scaling.beta` is 1"), "{error}");
    let rope = read(&["rope_scaling.factor", "rope_scaling.beta"]);
    assert_eq!(rope.map(|rope| rope.factor), Ok(1.0));
}

const ROPE: RopeKeys = RopeKeys {
    base: &["rope_theta"],
    default_base: 10_000.0,
    fraction: &["rotary_pct", "partial_rotary_factor"],
    default_fraction: 1.0,
};

#[test]
fn rotations_are_read_in_every_spelling() {
    let linear = Rope {
        base: 500.0,
        factor: 4.0,
        fraction: 1.0,
    };
    let plain = Rope {
        factor: 1.0,
        ..linear
    };
    for (config, expected) in [
        (json!({"rope_theta": 500}), plain),
        (
            json!({"rope_theta": 500, "rope_scaling": {"rope_type": "default"}}),
            plain,
        ),
        (
            json!({"rope_theta": 500, "rope_scaling": {"type": "default", "factor": 1}}),
            plain,
        ),
        (
            json!({"rope_theta": 500.0, "rope_scaling": null, "rope_parameters": {"rope_theta": 500}}),
            plain,
        ),
        (
            json!({"rope_theta": 500, "rope_scaling": {"type": "linear", "factor": 4}}),
            linear,
        ),
        (
            json!({"rope_parameters": {"rope_theta": 5e2, "rope_type": null, "type": "linear", "factor": 4.0}}),
            linear,
        ),
        (
            json!({"rope_parameters": {"rope_type": "linear", "type": "linear", "rope_theta": 500, "factor": 4}}),
            linear,
        ),
        (
            json!({"rope_theta": 500, "rotary_pct": 0.5, "partial_rotary_factor": 0.5}),
            Rope {
                fraction: 0.5,
                ..plain
            },
        ),
    ] {
        let mut keys = keys(config.clone());
        assert_eq!(ROPE.read(&mut keys), Ok(expected), "{config}");
        assert_eq!(keys.finish(&[]), Ok(()), "{config}");
    }
}

#[test]
fn rotations_that_are_not_computed_are_refused_by_name() {
    for (config, expected) in [
        (
            json!({"rope_scaling": {"rope_type": "yarn", "factor": 4}}),
            "`rope_scaling.rope_type` is \"yarn\", expected default or linear",
        ),
        (
            json!({"rope_parameters": {"type": "dynamic", "factor": 2}}),
            "`rope_parameters.type` is \"dynamic\"",
        ),
        (
            json!({"rope_parameters": {"rope_type": "default", "type": "linear", "factor": 2}}),
            "`rope_parameters.type` is \"linear\", expected \"default\" as `rope_type`",
        ),
        (
            json!({"rope_scaling": {"factor": 4.0}}),
            "`rope_scaling.factor` is 4.0, expected 1",
        ),
        (
            json!({"rope_scaling": {"type": "linear"}}),
            "`rope_scaling.factor` is missing, expected a number above 0",
        ),
        (
            json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
            "`rope_parameters.full_attention`",
        ),
        (
            json!({"rope_theta": 500, "rope_parameters": {"rope_theta": 600}}),
            "`rope_parameters.rope_theta` is 600 and `rope_theta` is 500",
        ),
        (
            json!({"rotary_pct": 0.5, "partial_rotary_factor": 0.25}),
            "`rotary_pct` is 0.5 and `partial_rotary_factor` is 0.25",
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "default"}}),
            "`rope_parameters` and `rope_scaling` differ",
        ),
        (
            json!({"rope_scaling": "linear"}),
            "`rope_scaling` is \"linear\", expected a dictionary",
        ),
        (json!({"rope_theta": -1}), "`rope_theta` is -1"),
        (
            json!({"rope_theta": "Infinity"}),
            "`rope_theta` is \"Infinity\", expected a number",
        ),
        (json!({"rotary_pct": 1.5}), "`rotary_pct` is 1.5"),
    ] {
        let error = ROPE.read(&mut keys(config)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
