//! Scripts that make a random folder `out` and a random file `one`.

use std::fmt::Write;

/// The generator `SplitMix64`: enough for tests, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'p, T>(&mut self, from: &'p [T]) -> &'p T {
        &from[self.below(from.len())]
    }
}

/// What stands in a name beside its tag; `@` is where the tag goes.
const NAMES: [&[u8]; 30] = [
    b"@",
    b"@",
    b"@",
    b"@.txt",
    b"a @",
    b" @",
    b"@ ",
    b"-@",
    b"--@",
    b".@",
    b"..@",
    b"@\n",
    b"\n@",
    b"@\r",
    b"Icon@\r",
    b"@\\",
    b"@\\n",
    b"\t@",
    b"@'\"`",
    b"$HOME@",
    b"*?[@",
    b"#@%s",
    b"~@",
    b"\x01@\x7f",
    b"@:;|&<>",
    b"\xc3\xa9@",
    b"e\xcc\x81@",
    b"\xf0\x9f\x92\xbe@",
    b"0000000000000000000000000000000000000000000000000000000000000000  @",
    b"{\"path\":\"@\"}",
];
/// The same for names that are not UTF-8.
const NOT_UTF8: [&[u8]; 4] = [b"caf\xe9@", b"@\xff", b"\xed\xa0\x80@", b"@\xc3"];

const CONTENTS: [&str; 5] = ["", "a", "b\n", "#!/bin/sh\necho ran\n", "\\\\ %s\n"];
const FILE_MODES: [&str; 16] = [
    "644", "755", "600", "400", "444", "000", "111", "100", "010", "001", "4755", "2711", "6755",
    "1644", "222", "777",
];
const FOLDER_MODES: [&str; 10] = [
    "755", "700", "555", "500", "000", "111", "222", "2755", "1777", "333",
];

/// Files beside the tree that it may be linked to: one that can be read and run, and one that cannot.
pub(super) const OUTSIDE: [&str; 2] = ["run", "closed"];

/// A shell script in the making.
pub(super) struct Script<'r> {
    random: &'r mut Random,
    text: Vec<u8>,
    /// What is done last: modes of folders, the deepest first.
    modes: Vec<Vec<u8>>,
    folders: Vec<Vec<u8>>,
    /// Files that no link from outside reaches.
    files: Vec<Vec<u8>>,
    links: Vec<Vec<u8>>,
    names: usize,
    /// The folder with what lies outside, as the script has it.
    outside: String,
}

impl<'r> Script<'r> {
    /// A script that runs in an empty folder in which `out` may be there already.
    pub(super) fn random(random: &'r mut Random, outside: &str) -> Vec<u8> {
        let mut script = Self {
            random,
            text: b"set -e\nLC_ALL=C\nmkdir -p out\n".to_vec(),
            modes: Vec::new(),
            folders: vec![b"out".to_vec()],
            files: Vec::new(),
            links: Vec::new(),
            names: 0,
            outside: outside.to_owned(),
        };
        script.tree();
        script.file_output();
        script.finish()
    }

    fn tree(&mut self) {
        // One tree in three has something that is refused.
        let is_odd = self.random.one_in(3);
        for _ in 0..self.random.below(5) {
            self.folder();
        }
        for _ in 0..self.random.below(7) {
            self.file();
        }
        for _ in 0..self.random.below(4) {
            self.inner_link();
        }
        if self.random.one_in(4) {
            self.hard_link();
        }
        if is_odd {
            for _ in 0..=self.random.below(2) {
                self.odd();
            }
        }
        if self.random.one_in(40) {
            self.line(&[b"mv out real; ln -s real out"]);
            self.modes.clear();
        }
    }

    /// Adds a line; parts are put together as they are.
    fn line(&mut self, parts: &[&[u8]]) {
        self.text.extend(parts.concat());
        self.text.push(b'\n');
    }

    /// A new path in some folder.
    fn path(&mut self, names: &[&[u8]]) -> Vec<u8> {
        let folder = self.random.pick(&self.folders).clone();
        let tag = tag(self.names);
        self.names += 1;
        let mut name = Vec::new();
        for byte in *self.random.pick(names) {
            match byte {
                b'@' => name.extend(tag.as_bytes()),
                other => name.push(*other),
            }
        }
        if self.random.one_in(12) {
            let pad = b"long name ".iter().cycle();
            name.extend(pad.take(255 - name.len()));
        }
        [folder, b"/".to_vec(), name].concat()
    }

    fn folder(&mut self) {
        let path = self.path(&NAMES);
        self.line(&[b"mkdir ", &quoted(&path)]);
        if self.random.one_in(3) {
            let mode = self.random.pick(&FOLDER_MODES);
            let chmod = [b"chmod ", mode.as_bytes(), b" ", &quoted(&path)].concat();
            self.modes.push(chmod);
        }
        self.folders.push(path);
    }

    fn file(&mut self) {
        let path = self.path(&NAMES);
        self.write(&path);
        self.files.push(path);
    }

    fn write(&mut self, path: &[u8]) {
        let content = self.random.pick(&CONTENTS).as_bytes();
        let path = quoted(path);
        self.line(&[b"printf %s ", &quoted(content), b" > ", &path]);
        if self.random.one_in(2) {
            let mode = self.random.pick(&FILE_MODES).as_bytes();
            self.line(&[b"chmod ", mode, b" ", &path]);
        }
    }

    /// A link whose target is written relative or absolute, to what is there.
    fn inner_link(&mut self) {
        let link = self.path(&NAMES);
        let mut places = self.folders.clone();
        places.extend(self.files.iter().chain(&self.links).cloned());
        let place = self.random.pick(&places).clone();
        let target = match self.random.below(4) {
            0 => [b"\"$PWD\"/".to_vec(), quoted(&place)].concat(),
            1 => quoted(&[&up(&link)[..], &inside(&place), b"/."].concat()),
            _ => quoted(&[&up(&link)[..], &inside(&place)].concat()),
        };
        self.line(&[b"ln -s -- ", &target, b" ", &quoted(&link)]);
        self.links.push(link);
    }

    /// A second name for a file of the tree, or for one outside.
    fn hard_link(&mut self) {
        let path = self.path(&NAMES);
        let to = if self.files.is_empty() || self.random.one_in(2) {
            format!("{}/{}", self.outside, self.random.pick(&OUTSIDE)).into_bytes()
        } else {
            self.random.pick(&self.files).clone()
        };
        self.line(&[b"ln -- ", &quoted(&to), b" ", &quoted(&path)]);
    }

    /// Something that cannot be stored.
    fn odd(&mut self) {
        let kind = self.random.below(9);
        let path = self.path(if kind == 0 { &NOT_UTF8 } else { &NAMES });
        let at = quoted(&path);
        let outside = self.outside.clone();
        let link = |to: &str| [b"ln -s -- ", &quoted(to.as_bytes())[..], b" ", &at].concat();
        let line = match kind {
            0 => [b": > ", &at[..]].concat(),
            1 => [b"mkfifo ", &at[..]].concat(),
            2 => [
                b"cp -a ",
                &quoted(format!("{outside}/socket").as_bytes())[..],
                b" ",
                &at,
            ]
            .concat(),
            3 => [b"mknod ", &at[..], b" c 1 3 2>&- || mkfifo ", &at].concat(),
            4 => link(&format!("{outside}/run")),
            5 => link("no such file"),
            6 => link(&outside),
            7 => link("../../../../.."),
            _ => {
                let other = self.path(&NAMES);
                let there = [&up(&path)[..], &inside(&other)].concat();
                let back = [&up(&other)[..], &inside(&path)].concat();
                let first = [b"ln -s -- ", &quoted(&there)[..], b" ", &at].concat();
                let second = [b"ln -s -- ", &quoted(&back)[..], b" ", &quoted(&other)].concat();
                [first, second].join(&b'\n')
            }
        };
        self.line(&[&line]);
    }

    /// The output `one`, which is a file.
    fn file_output(&mut self) {
        let outside = format!("{}/run", self.outside);
        match self.random.below(40) {
            0 => self.line(&[b"mkfifo one"]),
            1 => self.line(&[b"ln -s out one"]),
            2 => self.line(&[b"ln -s ", &quoted(outside.as_bytes()), b" one"]),
            3..8 => self.line(&[b"ln ", &quoted(outside.as_bytes()), b" one"]),
            _ => self.write(b"one"),
        }
    }

    fn finish(mut self) -> Vec<u8> {
        for line in std::mem::take(&mut self.modes).iter().rev() {
            self.line(&[line]);
        }
        self.text
    }
}

/// A word that is in one name only, whatever stands around it.
fn tag(number: usize) -> String {
    let mut text = String::new();
    let _ = write!(text, "q{number:03}z");
    text
}

/// The tag in a name.
pub(super) fn tag_of(name: &[u8]) -> String {
    let is_tag = |w: &&[u8]| w[0] == b'q' && w[4] == b'z' && w[1..4].iter().all(u8::is_ascii_digit);
    let found = name.windows(5).find(is_tag);
    found.map_or_else(
        || String::from_utf8_lossy(name).into_owned(),
        |tag| String::from_utf8_lossy(tag).into_owned(),
    )
}

/// A word of the shell.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = b"'".to_vec();
    for byte in text {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            other => out.push(*other),
        }
    }
    out.push(b'\'');
    out
}

/// The way from a path's folder to `out`, with a `/` behind it.
fn up(path: &[u8]) -> Vec<u8> {
    let depth = path.split(|byte| *byte == b'/').count() - 2;
    match depth {
        0 => b"./".to_vec(),
        _ => b"../".repeat(depth),
    }
}

/// A path without the `out/` in front.
fn inside(path: &[u8]) -> Vec<u8> {
    match path.strip_prefix(b"out/") {
        Some(rest) => rest.to_vec(),
        None => b".".to_vec(),
    }
}
