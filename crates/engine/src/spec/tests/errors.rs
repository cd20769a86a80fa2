//! What is said about every mistake, and where.

use std::fmt::Write;

use super::{load_plain, render};

/// A mistake, and the file that has it.
const CASES: &[(&str, &str)] = &[
    ("an empty file", "# nothing\n"),
    ("not a mapping", "- a\n- b\n"),
    ("not YAML", "version: 1\nstages: { a: [\n"),
    ("a tab", "version: 1\nstages:\n\ta: 1\n"),
    (
        "a duplicate key",
        "version: 1\nstages:\n  a: { run: { make: {} } }\n  a: { run: { make: {} } }\n",
    ),
    ("no version, no stages", "name: x\n"),
    (
        "another version",
        "version: 2\nstages: { a: { run: { make: {} } } }\n",
    ),
    (
        "sections of the wrong type",
        "version: 1\nname: [x]\nvars: 3\nmatrix: [a]\nsources: x\nstages: 7\nprofiles: []\n",
    ),
    (
        "unknown keys",
        "version: 1\nstagse: 1\nstages:\n  a: { run: { make: {} }, exprot: x }\n",
    ),
    (
        "an unknown kind",
        "version: 1\nstages: { a: { run: { mkae: {} } } }\n",
    ),
    (
        "two kinds",
        "version: 1\nstages: { a: { run: { make: {}, copy: {} } } }\n",
    ),
    ("no run", "version: 1\nstages: { a: {}, b: make }\n"),
    (
        "an unknown parameter",
        "version: 1\nstages:\n  a: { run: { make: { txet: x } } }\n",
    ),
    (
        "parameters of the wrong type",
        "version: 1\nstages:\n  a: { run: { make: { count: abc } } }\n  b: { run: { make: { count: -1 } } }\n  c: { run: { make: { fail: no } } }\n  d: { run: { make: { text: [x] } } }\n  e: { run: { make: 5 } }\n",
    ),
    (
        "a missing parameter",
        "version: 1\nstages:\n  a: { run: { read: {} } }\n",
    ),
    (
        "names of stages and axes",
        "version: 1\nmatrix: { 'x=': [1] }\nstages:\n  'a b': { run: { make: {} } }\n",
    ),
    (
        "an unknown variable",
        "version: 1\nvars: { chunks: 3 }\nstages:\n  a: { run: { make: { count: '${chunsk}' } } }\n  b: { run: { make: { text: 'a ${' } } }\n",
    ),
    (
        "a mapping inside a text",
        "version: 1\nvars: { m: { a: 1 } }\nstages:\n  a: { run: { make: { text: 'a ${m}' } } }\n",
    ),
    (
        "a variable in a variable",
        "version: 1\nvars: { a: 1, b: ['${a}'] }\nstages: { a: { run: { make: {} } } }\n",
    ),
    (
        "an axis that is a variable",
        "version: 1\nvars: { x: 1 }\nmatrix: { x: [1] }\nstages: { a: { run: { make: {} } } }\n",
    ),
    (
        "an axis that is not in over",
        "version: 1\nmatrix: { model: [m] }\nstages:\n  a: { run: { make: { text: '${model}' } } }\n",
    ),
    (
        "an axis that is not in the matrix",
        "version: 1\nmatrix: { model: [m] }\nstages:\n  a: { over: [modle], run: { make: {} } }\n",
    ),
    (
        "an axis twice in over",
        "version: 1\nmatrix: { m: [1, 2] }\nstages:\n  a: { over: [m, m], run: { make: {} } }\n",
    ),
    (
        "an empty axis",
        "version: 1\nmatrix: { model: [] }\nstages: { a: { over: [model], run: { make: {} } } }\n",
    ),
    (
        "values of an axis",
        "version: 1\nmatrix: { a: [1, 2, '1'], b: [[1]], c: ['x/y', ''], d: 5 }\nstages: { a: { over: [d], run: { make: {} } } }\n",
    ),
    (
        "too many nodes",
        "version: 1\nmatrix: { a: &v [0,1,2,3,4,5,6,7,8,9], b: *v, c: *v, d: *v, e: *v, f: *v, g: *v }\nstages: { a: { over: [a, b, c, d, e, f, g], run: { make: {} } } }\n",
    ),
    (
        "a need of a missing stage",
        "version: 1\nstages:\n  chunk: { run: { make: {} } }\n  b: { needs: { input: chnuk }, run: { copy: {} } }\n",
    ),
    (
        "a cycle",
        "version: 1\nstages:\n  z: { needs: { input: c }, run: { copy: {} } }\n  a: { needs: { input: c }, run: { copy: {} } }\n  b: { needs: { input: a }, run: { copy: {} } }\n  c: { needs: { input: b }, run: { copy: {} } }\n",
    ),
    (
        "a stage that needs itself",
        "version: 1\nstages:\n  a: { needs: { input: a }, run: { copy: {} } }\n",
    ),
    (
        "roles",
        "version: 1\nstages:\n  a: { run: { make: {} } }\n  b: { needs: { inptu: a }, run: { copy: {} } }\n  c: { needs: [a, a], run: { join: {} } }\n  d: { needs: 3, run: { join: {} } }\n",
    ),
    (
        "fan in to a role for one",
        "version: 1\nmatrix: { m: [1], s: [1, 2] }\nstages:\n  a: { over: [m, s], run: { make: {} } }\n  b: { over: [s], needs: { input: a }, run: { copy: {} } }\n",
    ),
    (
        "an unknown output",
        "version: 1\nstages:\n  a: { run: { make: {} } }\n  b: { needs: { input: 'a:otu.txt' }, run: { copy: {} } }\n",
    ),
    (
        "exports to the same place",
        "version: 1\nmatrix: { m: [1, 2] }\nstages:\n  a: { over: [m], run: { make: {} }, export: ./x }\n  b: { run: { make: {} }, export: x/out.txt/ }\n",
    ),
    (
        "exports that leave outputs/",
        "version: 1\nvars: { up: ../.. }\nstages:\n  a: { run: { make: {} }, export: /etc }\n  b: { run: { make: {} }, export: '${up}/x' }\n  c: { run: { make: {} }, export: [3] }\n",
    ),
    (
        "sources",
        "version: 1\nsources:\n  a: { path: x, blake3: 12 }\n  b: { path: x, blake3: a, sha256: b }\n  c: { blake3: a }\n  d: x\n  e: { path: '${z}', pin: x }\nstages:\n  r: { run: { read: { source: a } } }\n  s: { run: { read: { source: ab } } }\n",
    ),
    (
        "remote sources",
        "version: 1\nmatrix: { m: [1, 2] }\nsources:\n  a: { url: ftp://x/y }\n  b: { url: 'https://me:pw@x/y' }\n  c: { url: https://x/y, unpack: tgz }\n  d: { url: https://x/y, take: { speech: 4MiB } }\n  e: { url: https://x/y, unpack: tar, take: { sound: 1 } }\n  f: { url: https://x/y, size: lots }\n  g: { url: https://x/y, path: z }\n  h: { hub: a/b/c }\n  i: { hub: a/b, type: space }\n  j: { hub: a/b, type: dataset }\n  k: { hub: a/b, files: [../x] }\n  l: { hub: a/b, branch: main }\n  m: { url: [] }\n  'n/${m}': { hub: '${z}/b' }\n  'o/${p}': { hub: a/b }\nstages:\n  r: { run: { make: {} } }\n",
    ),
    (
        "profiles",
        "version: 1\ndefault_profile: nan\nstages: { a: { run: { make: {} } } }\nprofiles:\n  nano: { stage: {}, vars: [] }\n",
    ),
    (
        "a profile's stages",
        "version: 1\ndefault_profile: x\nstages: { chunk: { run: { make: {} } }, b: { needs: { input: chunk }, run: { copy: {} } } }\nprofiles:\n  x: { stages: { chunk: null, chnuk: null, c: { run: { mkae: {} } } } }\n",
    ),
    (
        "a mistake in every cell is told once",
        "version: 1\nmatrix: { m: [1, 2, 3] }\nstages:\n  a: { over: [m], run: { make: { txet: '${m}' } } }\n  b: { over: [m], run: { read: { source: 'no/${m}' } } }\n",
    ),
    (
        "not finite",
        "version: 1\nvars: { x: .nan }\nstages: { a: { run: { make: { count: '${x}' } } } }\n",
    ),
];

#[test]
fn every_mistake_is_told_with_its_place() {
    let mut all = String::new();
    for (mistake, text) in CASES {
        let Err(errors) = load_plain(text) else {
            panic!("{mistake}: nothing was said");
        };
        let _ = writeln!(all, "== {mistake}\n{}", render(text, &errors));
    }
    insta::assert_snapshot!(all);
}
