use cpipe_data::tokens::Mapping;
use proptest::prelude::*;

use super::*;

const ALL: [Protocol; 3] = [Protocol::Paper, Protocol::Full, Protocol::Deepmind];

/// Chunks of one byte per token.
fn tokens(lengths: &[usize], byte: u8) -> TokenSet {
    let mut set = TokenSet::new(Mapping::Mask7, 300, Some(0));
    for length in lengths {
        let raw = vec![byte; *length];
        set.push(&raw, &vec![7; *length], &vec![1; *length]);
    }
    set
}

/// Scores every window as if each token had this log-probability.
fn rows(protocols: &[Protocol], set: &TokenSet, context: usize, log_prob: f32) -> Vec<ChunkScore> {
    let plan = Plan::new(protocols, set, context).unwrap();
    let chunks: Vec<TokenizedChunk<'_>> = set.iter().collect();
    let score = |w: &Window| w.score(&chunks[w.chunk], &vec![log_prob; w.scored().len()]);
    let scores: Vec<WindowScore> = plan.windows().iter().map(score).collect();
    plan.rows(set, &scores)
}

proptest! {
    #[test]
    fn full_scores_each_token_exactly_once(
        lengths in proptest::collection::vec(0usize..40, 0..5),
        context in 2usize..17,
    ) {
        let set = tokens(&lengths, b'a');
        let plan = Plan::new(&[Protocol::Full, Protocol::Deepmind], &set, context).unwrap();
        let mut seen: Vec<Vec<usize>> = vec![Vec::new(); lengths.len()];
        for window in plan.windows() {
            prop_assert!(window.range.len() < context && !window.range.is_empty());
            prop_assert!(window.prefixed);
            seen[window.chunk].extend(window.scored());
        }
        for (seen, length) in seen.iter().zip(&lengths) {
            prop_assert_eq!(seen, &(0..*length).collect::<Vec<_>>());
        }
        for row in rows(&[Protocol::Full], &set, context, -1.0) {
            prop_assert_eq!((row.tokens_scored, row.bytes_covered), (row.tokens, row.raw_bytes));
        }
    }

    #[test]
    fn paper_scores_a_head_without_its_first_token(length in 0usize..1500, context in 2usize..1200) {
        let set = tokens(&[length], b'a');
        let plan = Plan::new(&[Protocol::Paper], &set, context).unwrap();
        let end = length.min(1024).min(context);
        prop_assert_eq!(plan.windows().len(), 1);
        prop_assert_eq!(plan.windows()[0].scored(), end.min(1)..end);
    }
}

#[test]
fn rows_come_by_protocol_then_chunk() {
    let set = tokens(&[5, 9], b'a');
    let order: Vec<(String, u64)> = rows(&[Protocol::Full, Protocol::Paper], &set, 4, -1.0)
        .into_iter()
        .map(|r| (r.protocol, r.chunk))
        .collect();
    let expected = [("full", 0), ("full", 1), ("paper", 0), ("paper", 1)];
    assert_eq!(order, expected.map(|(p, c)| (p.to_owned(), c)));
}

#[test]
fn each_protocol_accounts_by_its_own_rules() {
    let set = tokens(&[10], 200);
    let bit = -std::f32::consts::LN_2;
    let rows = rows(&ALL, &set, 6, bit);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} {b}");
    near(rows[0].bits, 5.0);
    near(rows[0].bits_first, 0.0);
    near(rows[0].cr, 5.0 / 80.0);
    near(rows[1].bits, 10.0);
    near(rows[1].bits_first, 1.0);
    near(rows[1].cr, 10.0 / 80.0);
    near(rows[2].compressed_bits, 16.0);
    near(rows[2].raw_bits, 70.0);
    assert_eq!((rows[0].tokens_scored, rows[0].bytes_covered), (5, 5));
}

#[test]
fn only_paper_has_a_floor() {
    let set = tokens(&[3], b'a');
    let rows = rows(&ALL, &set, 8, -50.0);
    assert_eq!((rows[0].floored, rows[1].floored), (2, 0));
    assert!((rows[0].bits - 2.0 * 10.0 * 10f64.log2()).abs() < 1e-9);
    assert!((rows[1].bits - 150.0 * std::f64::consts::LOG2_E).abs() < 1e-4);
}

#[test]
fn what_is_not_a_number_is_counted_and_dropped() {
    let set = tokens(&[3], b'a');
    for row in rows(&ALL, &set, 8, f32::NAN) {
        assert!(row.dropped && row.nan > 0 && row.bits == 0.0 && row.tokens_scored == 0);
    }
    for row in rows(&ALL, &tokens(&[400], b'a'), 500, -0.01) {
        let by_ratio = row.protocol == "paper";
        assert_eq!((row.dropped, row.nan), (by_ratio, 0));
    }
}

#[test]
fn a_tokenizer_without_end_of_text_is_refused_where_it_is_needed() {
    let set = TokenSet::new(Mapping::Mask7, 300, None);
    assert!(Plan::new(&[Protocol::Paper], &set, 8).is_ok());
    let error = Plan::new(&ALL, &set, 8).unwrap_err().to_string();
    assert!(
        error.contains("`full`") && error.contains("end-of-text"),
        "{error}"
    );
}
