use cpipe_data::scores::ChunkScore;
use cpipe_data::tokens::{Mapping, TokenSet, TokenizedChunk};
use proptest::prelude::*;

use super::*;

/// Chunks of one byte per token.
fn tokens(lengths: &[usize], byte: u8) -> TokenSet {
    let mut set = TokenSet::new(Mapping::Mask7, 300, Some(0));
    for length in lengths {
        let raw = vec![byte; *length];
        set.push(&raw, &vec![7; *length], &vec![1; *length], 5);
    }
    set
}

fn shape(context: usize) -> ModelShape {
    ModelShape {
        context,
        vocabulary: 300,
    }
}

fn presets() -> Vec<Protocol> {
    Preset::ALL.map(Protocol::from).to_vec()
}

fn custom(yaml: &str) -> Protocol {
    serde_json::from_str(yaml).unwrap()
}

/// Scores every window as if each token had this log-probability; rows chunk by chunk.
fn rows(protocols: &[Protocol], set: &TokenSet, context: usize, log_prob: f32) -> Vec<ChunkScore> {
    let plan = Plan::new(protocols, set, shape(context)).unwrap();
    let chunks: Vec<TokenizedChunk<'_>> = set.iter().collect();
    let score = |i: usize| vec![log_prob; plan.windows()[i].scored.len()];
    let of_chunk = |(index, chunk)| {
        let results: Vec<Vec<f32>> = plan.of_chunk(index).map(score).collect();
        plan.rows(index, chunk, &results)
    };
    chunks.iter().enumerate().flat_map(of_chunk).collect()
}

/// Which tokens each window sees and scores.
fn laid(protocol: &str, length: usize, context: usize) -> Vec<(usize, usize, usize, bool)> {
    let set = tokens(&[length], b'a');
    let plan = Plan::new(&[custom(protocol)], &set, shape(context)).unwrap();
    let window = |w: &Window| (w.range.start, w.scored.start, w.scored.end, w.prefixed);
    plan.windows().iter().map(window).collect()
}

proptest! {
    #[test]
    fn every_rule_scores_each_token_once_within_the_context(
        lengths in proptest::collection::vec(0usize..60, 0..5),
        context in 2usize..17,
        window in 2usize..17,
        stride in 1usize..17,
        free: bool,
    ) {
        let (window, first) = (window.min(context), if free { "free" } else { "prefixed" });
        let sliding = format!(r#"{{"sliding": {{"window": {window}, "stride": {}}}}}"#, stride.min(window - 1));
        for rule in ["\"disjoint\"", &sliding] {
            let mine = custom(&format!(r#"{{"x": {{"first_token": "{first}", "context": {rule}}}}}"#));
            let set = tokens(&lengths, b'a');
            let plan = Plan::new(&[mine], &set, shape(context)).unwrap();
            let mut seen: Vec<Vec<usize>> = vec![Vec::new(); lengths.len()];
            for window in plan.windows() {
                let positions = window.range.len() + usize::from(window.prefixed);
                prop_assert!(positions <= context);
                prop_assert!(window.scored.is_empty() || window.context() > 0);
                prop_assert_eq!(window.scored.end, window.range.end);
                seen[window.chunk].extend(window.scored.clone());
            }
            for (seen, length) in seen.iter().zip(&lengths) {
                let free = |t: &usize| free && (*t == 0 || (rule == "\"disjoint\"" && t.is_multiple_of(context)));
                let expected: Vec<usize> = (0..*length).filter(|t| !free(t)).collect();
                prop_assert_eq!(seen, &expected);
            }
        }
    }

    #[test]
    fn paper_scores_a_head_without_its_first_token(length in 0usize..1500, context in 2usize..1200) {
        let set = tokens(&[length], b'a');
        let plan = Plan::new(&[Preset::Paper.into()], &set, shape(context)).unwrap();
        let end = length.min(1024).min(context);
        prop_assert_eq!(plan.windows().len(), 1);
        prop_assert_eq!(plan.windows()[0].scored.clone(), end.min(1)..end);
    }

    #[test]
    fn a_sliding_window_keeps_its_overlap_as_context(length in 0usize..90, window in 2usize..20) {
        let stride = (window / 2).max(1);
        let rule = format!(r#"{{"x": {{"context": {{"sliding": {{"window": {window}, "stride": {stride}}}}}}}}}"#);
        let row = &rows(&[custom(&rule)], &tokens(&[length], b'a'), 64, -1.0)[0];
        // Token t has t + 1 ids before it in the first window; later ones at least the overlap.
        let expected = |t: usize| if t + 1 < window { t + 1 } else { window - stride + (t + 1 - window) % stride };
        let contexts: Vec<usize> = (0..length).map(expected).collect();
        let mean = contexts.iter().sum::<usize>() as f64 / length.max(1) as f64;
        prop_assert_eq!(row.context_min, contexts.iter().copied().min().unwrap_or(0) as u64);
        prop_assert!((row.context_mean - mean).abs() < 1e-12);
    }
}

#[test]
fn windows_stand_where_the_rules_say() {
    let sliding = r#"{"x": {"context": {"sliding": {"window": 4, "stride": 2}}}}"#;
    let expected = [(0, 0, 3, true), (1, 3, 5, false), (3, 5, 7, false)];
    assert_eq!(laid(sliding, 7, 4), expected);
    assert_eq!(
        laid(r#"{"x": {}}"#, 7, 4),
        [(0, 0, 3, true), (3, 3, 6, true), (6, 6, 7, true)]
    );
    assert_eq!(
        laid(r#"{"x": {"context": {"head": 2}}}"#, 7, 4),
        [(0, 0, 2, true)]
    );
}

#[test]
fn protocols_with_the_same_windows_share_them() {
    let set = tokens(&[20], b'a');
    let count = |protocols: &[Protocol]| {
        Plan::new(protocols, &set, shape(8))
            .unwrap()
            .windows()
            .len()
    };
    let (full, deepmind) = (Preset::Full.into(), Preset::Deepmind.into());
    let floored = custom(r#"{"floored": {"floor": 0.5}}"#);
    assert_eq!(count(&[full, deepmind, floored]), 3);
    assert_eq!(count(&presets()), 1 + 3 + 5);
}

#[test]
fn each_protocol_accounts_by_its_own_rules() {
    let set = tokens(&[10], 200);
    let rows = rows(&presets(), &set, 6, -std::f32::consts::LN_2);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} {b}");
    let [paper, full, deepmind, lossless] = &rows[..] else {
        panic!("{rows:?}")
    };
    near(paper.bits, 5.0);
    near(paper.bits_first, 0.0);
    near(paper.cr, 5.0 / 80.0);
    assert_eq!(
        (paper.tokens_scored, paper.bytes_covered, paper.pooled),
        (5, 5, false)
    );
    near(full.bits, 10.0);
    near(full.bits_first, 1.0);
    near(full.cr, 10.0 / 80.0);
    // Two whole bytes, and each of the ten bytes lost a bit: n / (n - lost) = 80 / 70.
    near(deepmind.compressed_bits, 16.0 * 80.0 / 70.0);
    near(deepmind.side_bits, 16.0 * 10.0 / 70.0);
    near(deepmind.raw_bits, 80.0);
    assert!(deepmind.pooled && lossless.pooled);
    // Ten tokens of a bit and a little need two bytes and one of flush at most; five for the plane.
    near(lossless.side_bits, 40.0);
    near(lossless.compressed_bits, 16.0 + 40.0);
}

#[test]
fn deepmind_scales_by_the_lost_bits_of_all_chunks() {
    let mut set = TokenSet::new(Mapping::Mask7, 300, Some(0));
    for byte in [b'a', 200] {
        set.push(&[byte; 10], &[7; 10], &[1; 10], 0);
    }
    let rows = rows(&[Preset::Deepmind.into()], &set, 20, -1.0);
    let total: f64 = rows.iter().map(|r| r.compressed_bits).sum();
    // 10 log2(e) bits are two bytes in each chunk; 10 of 160 bits are lost.
    assert!((total - 32.0 * 160.0 / 150.0).abs() < 1e-9, "{total}");
}

#[test]
fn parts_can_be_put_together_otherwise() {
    let set = tokens(&[10], 200);
    let kept = custom(r#"{"kept": {"denominator": "kept", "length": "bytes", "average": "sums"}}"#);
    let row = &rows(&[kept], &set, 20, -std::f32::consts::LN_2)[0];
    assert_eq!((row.protocol.as_str(), row.pooled), ("kept", true));
    assert!((row.cr - 16.0 / 70.0).abs() < 1e-6);
    let narrow = custom(r#"{"narrow": {"range": [0.2, 0.3]}}"#);
    assert!(rows(&[narrow], &set, 20, -0.1)[0].dropped);
}

#[test]
fn only_paper_has_a_floor() {
    let set = tokens(&[3], b'a');
    let rows = rows(&presets(), &set, 8, -50.0);
    assert_eq!((rows[0].floored, rows[1].floored), (2, 0));
    assert!((rows[0].bits - 2.0 * 10.0 * 10f64.log2()).abs() < 1e-9);
    assert!((rows[1].bits - 150.0 * std::f64::consts::LOG2_E).abs() < 1e-4);
}

#[test]
fn what_is_not_a_number_is_counted_and_dropped() {
    let set = tokens(&[3], b'a');
    for row in rows(&presets(), &set, 8, f32::NAN) {
        assert!(row.dropped && row.nan > 0 && row.bits == 0.0 && row.tokens_scored == 0);
    }
    for row in rows(&presets(), &tokens(&[400], b'a'), 500, -0.01) {
        let by_ratio = row.protocol == "paper";
        assert_eq!((row.dropped, row.nan), (by_ratio, 0));
    }
}

#[test]
fn what_does_not_fit_the_model_or_the_tokenizer_is_refused() {
    let set = TokenSet::new(Mapping::Mask7, 300, None);
    assert!(Plan::new(&[Preset::Paper.into()], &set, shape(8)).is_ok());
    let error = Plan::new(&presets(), &set, shape(8))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`full`") && error.contains("end-of-text"),
        "{error}"
    );
    let long =
        custom(r#"{"long": {"first_token": "free", "context": {"sliding": {"window": 9}}}}"#);
    let error = Plan::new(&[long], &set, shape(8)).unwrap_err().to_string();
    assert!(
        error.contains("`long`") && error.contains("context of 8"),
        "{error}"
    );
}

#[test]
fn a_protocol_is_written_as_it_is_read() {
    let text = r#"["paper",{"mine":{"first_token":"free","context":{"sliding":{"window":8,"stride":2}},"floor":1e-6,"side":"none","length":"ideal","denominator":"raw","range":[0.1,2.0],"average":"ratios"}}]"#;
    let protocols: Vec<Protocol> = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&protocols).unwrap(), text);
}

#[test]
fn wrong_protocols_are_refused_with_a_reason() {
    for (text, reason) in [
        (r#""ful""#, "unknown variant `ful`"),
        (r#"{"paper": {}}"#, "is a preset"),
        (r#"{"a b": {}}"#, "is not a name"),
        (r#"{"a": {}, "b": {}}"#, "two names"),
        (r#"{"a": {"flor": 1}}"#, "unknown field `flor`"),
        (
            r#"{"a": {"context": "header"}}"#,
            "unknown variant `header`",
        ),
        ("{}", "needs a name"),
        ("3", "expected paper, full, deepmind, lossless, or one name"),
    ] {
        let error = serde_json::from_str::<Protocol>(text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    for (text, part) in [
        (r#"{"context": {"head": 0}}"#, "context.head"),
        (
            r#"{"context": {"sliding": {"window": 1}}}"#,
            "context.sliding.window",
        ),
        (
            r#"{"context": {"sliding": {"stride": 0}}}"#,
            "context.sliding.stride",
        ),
        (
            r#"{"context": {"sliding": {"window": 4, "stride": 4}}}"#,
            "context.sliding.stride",
        ),
        (r#"{"floor": 1.0}"#, "floor"),
        (r#"{"range": [2, 1]}"#, "range"),
        (
            r#"{"side": "scaled", "denominator": "kept"}"#,
            "denominator",
        ),
        (
            r#"{"length": "coder", "first_token": "free"}"#,
            "first_token",
        ),
        (r#"{"length": "coder", "context": {"head": 5}}"#, "context"),
        (r#"{"length": "coder", "floor": 1e-9}"#, "floor"),
    ] {
        let rules: Rules = serde_json::from_str(text).unwrap();
        assert_eq!(rules.check().unwrap_err().0, part, "{text}");
    }
    for preset in Preset::ALL {
        assert!(preset.rules().check().is_ok());
    }
}
