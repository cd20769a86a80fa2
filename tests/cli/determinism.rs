//! The same bytes, whatever the threads, the folder and the order.

use crate::env::TestEnv;

#[test]
fn one_core_and_two_make_the_same_bytes_in_different_folders() {
    let (one, two) = (TestEnv::study(), TestEnv::study());
    assert_ne!(one.root(), two.root());
    one.run(&["-j1"]).assert_done();
    two.run(&["-j2"]).assert_done();
    let (one, two) = (one.files("outputs"), two.files("outputs"));
    assert_eq!(one.len(), 38);
    assert!(one.keys().eq(two.keys()));
    for (name, content) in &one {
        assert!(two[name] == *content, "{name} differs");
    }
}

#[test]
fn two_checkouts_share_one_cache() {
    let (one, two) = (TestEnv::commands(), TestEnv::commands());
    let shared = one.path("cache");
    let cache = ["--cache", shared.to_str().unwrap()];
    one.run(&cache).assert_executed(&["join", "make"]);
    two.run(&cache).assert_executed(&[]);
    assert_eq!(
        one.read("outputs/joined.txt"),
        two.read("outputs/joined.txt")
    );
    one.run(&cache).assert_executed(&[]);
}
