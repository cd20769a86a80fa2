//! No text makes the reader panic, and every span lies in the text.

use std::fmt::Write;

use proptest::prelude::*;

use super::{load_with, render};
use crate::spec::Options;

const WHOLE: &str = "version: 1
name: x
default_profile: p
vars: { n: 3, \"s\": 'é' }
matrix: { m: [a, b], k: [1, 2.5, true] }
sources: { f: { path: 'x/${n}', blake3: 00 } }
stages:
  a: { over: [m, k], run: { make: { count: '${n}', text: \"${m}-$${k}\" } }, export: 'e/${m}${k}' }
  b: { over: [m], needs: { inputs: 'a:out.txt' }, run: { join: { text: |
      block
      } } }
  c: { needs: [b], run: { join: {} } }
profiles: { p: { vars: { n: 4 } } }
";

/// Loads, and shows the errors, which cuts the text at every span.
fn survives(text: &str, sets: Vec<(String, String)>) {
    let options = Options {
        profile: None,
        sets,
        ..Options::default()
    };
    if let Err(errors) = load_with(text, &options) {
        assert!(!errors.is_empty());
        let _ = render(text, &errors);
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text(text in "\\PC*|[ -~\\n\\t]{0,80}") {
        survives(&text, Vec::new());
    }

    #[test]
    fn a_pipeline_with_a_piece_replaced(
        from in 0..WHOLE.len(),
        length in 0usize..30,
        piece in "[\\[\\]{}:,&*!|>'\"%@`#\\-? \\n\\t${}a0é~.<]{0,6}",
    ) {
        let start = floor(WHOLE, from);
        let end = floor(WHOLE, start + length).max(start);
        survives(&format!("{}{piece}{}", &WHOLE[..start], &WHOLE[end..]), Vec::new());
    }

    #[test]
    fn any_setting(key in "[a-z.]{0,12}|stages\\.[abc]\\.run\\.make\\.[a-z]{1,5}|vars\\.n|matrix\\.m", value in "\\PC{0,12}|[\\[\\]{}:,a0~]{0,8}") {
        survives(WHOLE, vec![(key, value)]);
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        let text = format!("version: {}1{}", open.repeat(50_000), close.repeat(50_000));
        survives(&text, Vec::new());
        let text = text.replacen("version: ", "", 1);
        survives(&text, Vec::new());
    }
}

#[test]
fn aliases_do_not_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        let list = [below.as_str(); 9].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{list}]");
    }
    survives(&text, Vec::new());
}
