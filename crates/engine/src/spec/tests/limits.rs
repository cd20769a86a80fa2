//! What a stage may occupy, and how often and how long it may try.

use std::fmt::Write;
use std::time::Duration;

use super::{load_plain, loaded, render};
use crate::policy::Policy;

fn policy(keys: &str) -> Policy {
    let text = format!(
        "version: 1\npools: {{ net: 2 }}\nstages: {{ a: {{ run: {{ make: {{}} }}, {keys} }} }}\n"
    );
    let pipeline = loaded(&text);
    let node = pipeline.graph.dag.node_weights().next().unwrap();
    Policy::clone(&node.policy)
}

#[test]
fn what_is_declared_is_read() {
    let found = policy(
        "resources: { cores: 2, mem: 512MiB, gpus: 1, net: 1 }, retries: { times: 3, wait: 5s }, timeout: 2h",
    );
    assert_eq!(found.cores, Some(2));
    assert_eq!(found.pools["mem"], 512 << 20);
    assert_eq!((found.pools["gpus"], found.pools["net"]), (1, 1));
    assert_eq!((found.retries, found.wait), (3, Duration::from_secs(5)));
    assert_eq!(found.timeout, Some(Duration::from_secs(7200)));
    assert_eq!(policy("retries: 1").retries, 1);
    assert_eq!(policy("export: ."), Policy::default());
}

#[test]
fn mistakes_are_told_with_their_place() {
    let cases = [
        "resources: 3",
        "resources: { cpus: 1 }",
        "resources: { net: many }",
        "resources: { mem: lots }",
        "retries: often",
        "retries: { tims: 2 }",
        "timeout: soon",
        "timeout: 0",
    ];
    let mut all = String::new();
    for case in cases {
        let text = format!(
            "version: 1\npools: {{ net: 2 }}\nstages: {{ a: {{ run: {{ make: {{}} }}, {case} }} }}\n"
        );
        let Err(errors) = load_plain(&text) else {
            panic!("{case}: nothing was said");
        };
        let _ = write!(all, "== {case}\n{}", render(&text, &errors));
    }
    insta::assert_snapshot!(all);
}
