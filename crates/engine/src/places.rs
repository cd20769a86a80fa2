//! How paths are written into the parts of a cache that people share: without the folders of the
//! machine that they are on.
//!
//! A path below the folder that holds the cache folder is written relative to that, so that it still
//! means the same once the whole study has moved. Any other path is replaced by its BLAKE3 hash.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::digest::Digest;

/// Folders that are the same on every machine: paths in them name nobody.
const SYSTEM: [&str; 8] = [
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys",
];
/// Characters that end a path inside a text.
const ENDS: &str = "'\"`,;()[]{}<>|\n\t";

/// The folder that paths are written relative to.
#[derive(Clone, Debug)]
pub struct Places {
    base: PathBuf,
}

impl Places {
    /// For what is written into the cache whose folder of this format version is `root`.
    pub fn of_cache(root: &Path) -> Self {
        let folder = normal(root);
        Self::below(folder.ancestors().nth(2).unwrap_or(Path::new("/")))
    }

    /// For what is written beside the files of this folder.
    pub fn below(folder: &Path) -> Self {
        Self {
            base: normal(folder),
        }
    }

    /// The path, relative or as its hash.
    pub fn name(&self, path: &Path) -> String {
        let path = normal(path);
        // What holds the cache is the root of the file system only by chance.
        let inside = match self.base.parent() {
            Some(_) => path.strip_prefix(&self.base).ok().and_then(Path::to_str),
            None => None,
        };
        match inside {
            Some("") => ".".to_owned(),
            Some(inside) => inside.to_owned(),
            None => hash(&path),
        }
    }

    /// The name of what is on record under this one: versions before 0.2 wrote absolute paths.
    pub(crate) fn renewed(&self, name: String) -> String {
        if name.starts_with('/') {
            self.name(Path::new(&name))
        } else {
            name
        }
    }

    /// A command-line argument or setting, with every absolute path in it replaced.
    pub fn hide_in_argument(&self, text: &str) -> String {
        self.hide(text, |_| false)
    }

    /// A message, with every absolute path in it replaced.
    pub fn hide_in_message(&self, text: &str) -> String {
        self.hide(text, |c| c == ' ' || c == ':')
    }

    /// The same in every text of a JSON value.
    pub fn hide_in_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide_in_argument(text)),
            Value::Array(items) => items.iter().map(|item| self.hide_in_json(item)).collect(),
            Value::Object(entries) => {
                let hidden = entries.iter();
                Value::Object(
                    hidden
                        .map(|(k, v)| (k.clone(), self.hide_in_json(v)))
                        .collect(),
                )
            }
            other => other.clone(),
        }
    }

    fn hide(&self, text: &str, ends_too: impl Fn(char) -> bool) -> String {
        let mut shown = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('/') {
            let (before, path) = rest.split_at(at);
            shown.push_str(before);
            if !begins_path(shown.chars().next_back(), path) {
                shown.push('/');
                rest = &path[1..];
                continue;
            }
            if let Some(end) = end_in_quotes(&text[..text.len() - path.len()], path) {
                let (path, after) = path.split_at(end);
                shown.push_str(&self.shown_whole(path));
                rest = after;
                continue;
            }
            // The folder's own name may hold a character that ends other paths.
            let own = self.base.to_str().filter(|base| path.starts_with(base));
            let skipped = own.map_or(0, str::len);
            let end = path[skipped..].find(|c| ENDS.contains(c) || ends_too(c));
            let (path, after) = path.split_at(end.map_or(path.len(), |end| end + skipped));
            shown.push_str(&self.shown(path));
            rest = after;
        }
        shown + rest
    }

    fn shown(&self, path: &str) -> String {
        if is_of_system(path) {
            return path.to_owned();
        }
        self.name(Path::new(path))
    }

    /// All that is between backquotes from a path on; where another path follows, a hash of all.
    fn shown_whole(&self, text: &str) -> String {
        let mut others = text.match_indices('/').skip(1);
        if others.any(|(at, _)| begins_path(text[..at].chars().next_back(), &text[at..])) {
            return hash(Path::new(text));
        }
        self.shown(text)
    }
}

fn is_of_system(path: &str) -> bool {
    let path = Path::new(path);
    SYSTEM.iter().any(|system| path.starts_with(system)) || path == Path::new("/dev/null")
}

/// Where the backquotes end that this path is in: a path in them may hold any other character. What
/// belongs to the system says nothing of a user, and the words behind it are kept.
fn end_in_quotes(before: &str, path: &str) -> Option<usize> {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let is_inside = line.matches('`').count() % 2 == 1;
    let rest = path.lines().next().unwrap_or_default();
    let end = rest.find('`').filter(|_| is_inside)?;
    (!is_of_system(path)).then_some(end)
}

/// Whether an absolute path begins here, and not the rest of a relative one or of a URL.
fn begins_path(before: Option<char>, rest: &str) -> bool {
    let opens = before.is_none_or(|c| c.is_whitespace() || "='\"`:,;([{<>|".contains(c));
    let next = rest[1..].chars().next();
    opens && next.is_some_and(|c| c != '/' && !c.is_whitespace() && !ENDS.contains(c))
}

/// What stands for a path that no shared file may name.
pub fn hash(path: &Path) -> String {
    format!("blake3:{}", Digest::of(path.as_os_str().as_bytes()))
}

/// The absolute path without `.` and `..`, by its text alone: it may lead nowhere any more.
fn normal(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::of_cache(Path::new("/home/ann/my study/cache/v1"))
    }

    fn hashed(path: &str) -> String {
        hash(Path::new(path))
    }

    #[test]
    fn a_path_in_the_study_is_relative_and_any_other_is_a_hash() {
        let places = places();
        for (path, name) in [
            ("/home/ann/my study/data/x", "data/x"),
            ("/home/ann/my study/sub/../data/./x", "data/x"),
            ("/home/ann/my study", "."),
        ] {
            assert_eq!(places.name(Path::new(path)), name);
        }
        let other = Path::new("/home/ann/other");
        assert_eq!(places.name(other), hashed("/home/ann/other"));
        assert!(!places.name(other).contains("ann"));
        let top = Places::of_cache(Path::new("/cache/v1"));
        assert_eq!(
            top.name(Path::new("/home/ann/x")),
            hashed("/home/ann/x"),
            "relative to the root of the file system it would say as much as before"
        );
    }

    #[test]
    fn no_absolute_path_is_left_in_arguments() {
        let places = places();
        let other = hashed("/data/ann b/x");
        for (given, hidden) in [
            (
                "--file=/home/ann/my study/p.yaml",
                "--file=p.yaml".to_owned(),
            ),
            ("/data/ann b/x", other.clone()),
            (
                "sources.a.path=/data/ann b/x",
                format!("sources.a.path={other}"),
            ),
            (
                "p=[\"/data/ann b/x\", /home/ann/my study/y]",
                format!("p=[\"{other}\", y]"),
            ),
            ("score[model=a/b]", "score[model=a/b]".to_owned()),
            ("u=https://a.org/x/y", "u=https://a.org/x/y".to_owned()),
            ("p=[/usr/bin/env, a]", "p=[/usr/bin/env, a]".to_owned()),
            ("1 / 2", "1 / 2".to_owned()),
        ] {
            assert_eq!(places.hide_in_argument(given), hidden);
        }
    }

    #[test]
    fn a_message_keeps_its_words() {
        let message = "cannot read /home/ann/my study/data/x: No such file; see /tmp/y too";
        let expected = format!(
            "cannot read data/x: No such file; see {} too",
            hashed("/tmp/y")
        );
        assert_eq!(places().hide_in_message(message), expected);
    }

    #[test]
    fn in_backquotes_a_path_ends_where_they_do() {
        for (given, hidden) in [
            (
                "link to `/data/ann b, c/x (1)`, which is outside",
                format!(
                    "link to `{}`, which is outside",
                    hashed("/data/ann b, c/x (1)")
                ),
            ),
            ("`/home/ann/my study/a b: c` is", "`a b: c` is".to_owned()),
            (
                "`a` and `cat /data/ann b/x` or `c`",
                format!("`a` and `cat {}` or `c`", hashed("/data/ann b/x")),
            ),
            (
                "`/home/ann/my study/x --in /data/ann b/y` failed",
                format!(
                    "`{}` failed",
                    hashed("/home/ann/my study/x --in /data/ann b/y")
                ),
            ),
            (
                "`/usr/bin/env -i /data/ann b/y` failed",
                format!("`/usr/bin/env -i {}` failed", hashed("/data/ann b/y")),
            ),
            (
                "`/data/x' is\nnot `a`",
                format!("`{}' is\nnot `a`", hashed("/data/x")),
            ),
        ] {
            assert_eq!(places().hide_in_message(given), hidden);
        }
    }
}
