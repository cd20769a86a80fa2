use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::digest::{Algorithm, Digest};

fn file(bytes: &[u8], executable: bool) -> Entry<Digest> {
    Entry::File {
        content: Digest::of(bytes),
        executable,
    }
}

fn tree(entries: &[(&str, Entry<Digest>)]) -> Tree<Digest> {
    let entries = entries.iter().cloned();
    Tree(
        entries
            .map(|(name, entry)| (name.to_owned(), entry))
            .collect(),
    )
}

fn link(to: &str) -> Entry<Digest> {
    Entry::Link(to.to_owned())
}

#[test]
fn a_folder_of_plain_files_is_listed_as_b3sum_prints_it() {
    let listed = tree(&[("b/x", file(b"1", false)), ("a", file(b"2", false))]);
    let text = format!("{}  a\n{}  b/x\n", Digest::of(b"2"), Digest::of(b"1"));
    assert_eq!(listed.to_text(Algorithm::Blake3), text);
    assert_eq!(Tree::parse(&text), Ok(listed));
}

#[test]
fn what_is_not_plain_is_a_line_of_json() {
    let listed = tree(&[
        ("Icon\r", file(b"", false)),
        ("back\\slash", file(b"", false)),
        ("latest", link("run-3")),
        ("logs", Entry::Folder),
        ("run-3/x", file(b"", false)),
        ("tool", file(b"", true)),
        ("two\nlines", file(b"", false)),
    ]);
    let text = listed.to_text(Algorithm::Blake3);
    insta::assert_snapshot!(text);
    assert_eq!(Tree::parse(&text), Ok(listed));
}

#[test]
fn a_listing_that_leads_outside_is_refused() {
    let hex = Digest::of(b"");
    let refused = [
        format!("{hex}  ../x\n"),
        format!("{hex}  /x\n"),
        format!("{hex}  a//b\n"),
        format!("{hex}  a/./b\n"),
        format!("{hex}  a\n{hex}  a\n"),
        format!("{hex}  a\n{hex}  a/b\n"),
        format!("{hex} a\n"),
        "{\"path\":\"a\",\"link\":\"../x\"}\n".to_owned(),
        "{\"path\":\"a\",\"link\":\"/etc\"}\n".to_owned(),
        "{\"path\":\"a\",\"link\":\"a\"}\n".to_owned(),
        "{\"path\":\"a\"}\n".to_owned(),
        "{\"path\":\"a\",\"folder\":true,\"mode\":1}\n".to_owned(),
    ];
    for text in refused {
        assert!(Tree::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn links_are_followed_as_the_file_system_does() {
    let tree = tree(&[
        ("a/b/file", file(b"1", false)),
        ("a/b/up", link("..")),
        ("a/self", link(".")),
        ("chain", link("a/self/self/b/up/b/file")),
        ("circle", link("again")),
        ("again", link("circle")),
        ("gone", link("a/c")),
        ("out", link("a/../../x")),
        ("root", link("/etc")),
        ("through", link("a/b/file/x")),
        ("whole", link("a/..")),
    ]);
    assert_eq!(tree.follow("chain").as_deref(), Ok("a/b/file"));
    assert_eq!(tree.follow("a/b/up").as_deref(), Ok("a"));
    assert_eq!(tree.follow("whole").as_deref(), Ok(""));
    assert_eq!(tree.follow("circle"), Err(Astray::Circle));
    assert_eq!(tree.follow("gone"), Err(Astray::Nowhere));
    assert_eq!(tree.follow("through"), Err(Astray::Nowhere));
    assert_eq!(tree.follow("out"), Err(Astray::Outside));
    assert_eq!(tree.follow("root"), Err(Astray::Outside));
    let files = tree.files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["a/b/file", "chain"]);
}

#[test]
fn a_link_of_a_source_counts_as_what_it_leads_to_outside() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("source/sub")).unwrap();
    std::fs::create_dir_all(at("other")).unwrap();
    std::fs::write(at("other/x"), "1").unwrap();
    std::fs::write(at("source/sub/y"), "2").unwrap();
    symlink("../other", at("source/folder")).unwrap();
    symlink("../other/x", at("source/file")).unwrap();
    symlink(at("source/sub"), at("source/inside")).unwrap();
    let found = walk(&at("source"), Links::OfSource).unwrap();
    let names: Vec<&String> = found.0.keys().collect();
    assert_eq!(names, ["file", "folder/x", "inside", "sub/y"]);
    assert_eq!(found.0["inside"], Entry::Link("sub".to_owned()));
    symlink("..", at("source/up")).unwrap();
    let error = walk(&at("source"), Links::OfSource)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("source/up") && error.contains("circle"),
        "{error}"
    );
}

#[test]
fn an_absolute_link_to_a_place_inside_an_output_becomes_relative() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir_all(out.join("a/b")).unwrap();
    std::fs::write(out.join("x"), "1").unwrap();
    symlink(out.canonicalize().unwrap().join("x"), out.join("a/b/l")).unwrap();
    let found = walk(&out, Links::OfOutput).unwrap();
    assert_eq!(found.0["a/b/l"], Entry::Link("../../x".to_owned()));
}

#[test]
fn a_link_that_leaves_an_output_and_comes_back_is_made_direct() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir_all(out.join("a")).unwrap();
    std::fs::write(out.join("x"), "1").unwrap();
    symlink("../../out/x", out.join("a/l")).unwrap();
    symlink("../other", out.join("gone")).unwrap();
    assert!(walk(&out, Links::OfOutput).is_err());
    std::fs::remove_file(out.join("gone")).unwrap();
    let found = walk(&out, Links::OfOutput).unwrap();
    assert_eq!(found.0["a/l"], Entry::Link("../x".to_owned()));
}

#[test]
fn what_is_placed_is_walked_again_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let one = dir.path().join("one");
    std::fs::create_dir_all(one.join("a/empty")).unwrap();
    std::fs::write(one.join("tool"), "1").unwrap();
    std::fs::set_permissions(one.join("tool"), std::fs::Permissions::from_mode(0o700)).unwrap();
    symlink("../tool", one.join("a/l")).unwrap();
    let found = walk(&one, Links::OfOutput).unwrap();
    let other = dir.path().join("other");
    found
        .place(&other, |from, to, executable| {
            copy_file(from, to, executable).map_err(|e| EngineError::io("write", to, e))
        })
        .unwrap();
    let hash = |path: &Path| Algorithm::Blake3.hash_file(path);
    let digest = |path: &Path| pin(path, Links::OfCopy, Algorithm::Blake3, hash).unwrap();
    assert_eq!(digest(&one), digest(&other));
}

#[test]
fn names_are_shown_with_what_cannot_be_printed_escaped() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(OsStr::from_bytes(b"data/caf\xe9\n\xc3\xa9.txt"));
    assert_eq!(shown(path), "data/caf\\xe9\\né.txt");
}

#[test]
fn a_folder_that_may_not_be_written_to_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    std::fs::create_dir_all(top.join("a/b")).unwrap();
    std::fs::write(top.join("a/b/f"), "1").unwrap();
    for name in ["a/b", "a", ""] {
        let mode = std::fs::Permissions::from_mode(0o555);
        std::fs::set_permissions(top.join(name), mode).unwrap();
    }
    remove(&top).unwrap();
    assert!(!top.exists());
    remove(&top).unwrap();
}

/// Names of all characters, and trees of them: no file is below another.
fn trees() -> impl Strategy<Value = Tree<Digest>> {
    let name = "[^/\0]{1,6}".prop_filter("no `.` or `..`", |name| name != "." && name != "..");
    let entry = prop_oneof![
        (any::<[u8; 2]>(), any::<bool>()).prop_map(|(bytes, executable)| file(&bytes, executable)),
        Just(Entry::Folder),
    ];
    proptest::collection::vec((name.clone(), proptest::option::of(name), entry), 0..12).prop_map(
        |entries| {
            let mut found = BTreeMap::new();
            for (top, below, entry) in entries {
                let name = match below {
                    Some(below) => format!("folder {top}/{below}"),
                    None => format!("file {top}"),
                };
                found.insert(name, entry);
            }
            Tree(found)
        },
    )
}

proptest! {
    #[test]
    fn a_listing_is_read_as_it_is_written(tree in trees()) {
        prop_assert_eq!(Tree::parse(&tree.to_text(Algorithm::Blake3)), Ok(tree));
    }

    #[test]
    fn two_trees_never_have_one_listing(one in trees(), other in trees()) {
        let (a, b) = (one.to_text(Algorithm::Blake3), other.to_text(Algorithm::Blake3));
        prop_assert_eq!(one == other, a == b);
    }
}
