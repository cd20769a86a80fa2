//! Imports go one way, and the engine and the formats build without the heavy crates.

use std::collections::{BTreeMap, BTreeSet};

use crate::env::repository;

/// Package → what it depends on, tests included, as Cargo.lock has it.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package
            .lines()
            .find_map(|line| line.strip_prefix("name = "))
            .expect("every package has a name");
        // Several versions of a package count as one.
        let needs = packages
            .entry(name.trim_matches('"').to_owned())
            .or_default();
        let listed = package.lines().filter_map(|line| line.strip_prefix(" \""));
        needs.extend(listed.filter_map(|line| Some(line.split(['"', ' ']).next()?.to_owned())));
    }
    packages
}

/// All that a package reaches.
fn reach(packages: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![start.to_owned()];
    while let Some(name) = next.pop() {
        for needed in &packages[&name] {
            if reached.insert(needed.clone()) {
                next.push(needed.clone());
            }
        }
    }
    reached
}

/// Packages of ours that `package` imports.
fn ours(packages: &BTreeMap<String, BTreeSet<String>>, package: &str) -> Vec<String> {
    let needs = packages[package].iter();
    needs.filter(|n| n.starts_with("cpipe-")).cloned().collect()
}

#[test]
fn engine_and_data_build_without_the_heavy_crates() {
    let packages = dependencies();
    for light in ["cpipe-engine", "cpipe-data"] {
        let reached = reach(&packages, light);
        assert!(reached.len() > 10, "the lock file was not understood");
        let candle = reached.iter().find(|name| name.starts_with("candle"));
        assert_eq!(candle, None, "{light}");
        for heavy in ["polars", "tokenizers", "clap", "clap_builder"] {
            assert!(packages.contains_key(heavy), "{heavy} is not used at all");
            assert!(!reached.contains(heavy), "{light} reaches {heavy}");
        }
        assert_eq!(ours(&packages, light), [""; 0]);
    }
}

#[test]
fn imports_go_one_way() {
    let packages = dependencies();
    for middle in ["cpipe-corpus", "cpipe-lm", "cpipe-analysis"] {
        assert_eq!(ours(&packages, middle), ["cpipe-data", "cpipe-engine"]);
    }
    let crates = std::fs::read_dir(repository().join("crates"))
        .unwrap()
        .count();
    assert_eq!(
        ours(&packages, "cpipe").len(),
        crates,
        "the root imports all"
    );
}

#[test]
fn heavy_crates_have_one_home_each() {
    let packages = dependencies();
    let homes = [
        ("tokenizers", "cpipe-lm"),
        ("polars", "cpipe-analysis"),
        ("clap", "cpipe"),
        ("indicatif", "cpipe"),
    ];
    for (heavy, home) in homes {
        let users: Vec<&String> = packages
            .iter()
            .filter(|(name, needs)| name.starts_with("cpipe") && needs.contains(heavy))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(users, [home], "{heavy}");
    }
}

#[test]
fn polars_stays_in_one_file() {
    let mut users = Vec::new();
    let mut folders = vec![repository().join("crates/analysis/src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path)
                .unwrap()
                .contains("use polars")
            {
                users.push(path.file_name().unwrap().to_owned());
            }
        }
    }
    users.sort();
    assert_eq!(users, ["error.rs", "table.rs"], "the error type aside");
}
