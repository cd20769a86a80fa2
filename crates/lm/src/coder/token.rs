//! The interval of a token: its probability in integers that every token of the vocabulary fits in.

/// Token intervals are parts of 2 to the power of this: 2¹⁶ would cost a lot with 50,000 tokens.
pub const TOKEN_BITS: u32 = 32;
/// Part of the whole that is left unused, so that probabilities from float32 logits, whose sum is
/// only near 1, never add up to more than the whole. It costs 2e-5 bits a token.
const SLACK: f64 = 1.0 / 65536.0;

/// Width of a token's interval of [`TOKEN_BITS`], given its natural log-probability and the rows of
/// the model's output matrix; never 0, so that every token can be coded.
pub fn token_width(log_prob: f32, vocabulary: u64) -> u64 {
    let whole = 1u64 << TOKEN_BITS;
    let shared = (whole - vocabulary) as f64 * (1.0 - SLACK);
    // What is not a number becomes 0 parts here, and the row that holds it is left out.
    let parts = (libm::exp(f64::from(log_prob)) * shared) as u64;
    parts.min(whole - vocabulary) + 1
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Encoder, Length};
    use super::*;
    use proptest::prelude::*;

    /// Log-probabilities of logits, rounded to f32 as a model gives them.
    fn log_softmax(logits: &[f32]) -> Vec<f32> {
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|x| f64::from(x - top).exp()).sum();
        logits
            .iter()
            .map(|x| (f64::from(x - top) - sum.ln()) as f32)
            .collect()
    }

    proptest! {
        #[test]
        fn tokens_round_trip_at_the_length_that_is_counted(
            logits in proptest::collection::vec(-60f32..60.0, 1..300),
            picks in proptest::collection::vec(0usize..1000, 0..60),
        ) {
            let log_probs = log_softmax(&logits);
            let widths: Vec<u64> = log_probs.iter().map(|p| token_width(*p, logits.len() as u64)).collect();
            let starts: Vec<u64> = widths.iter().scan(0, |at, w| { *at += w; Some(*at - w) }).collect();
            prop_assert!(starts[starts.len() - 1] + widths[widths.len() - 1] <= 1 << TOKEN_BITS);
            let tokens: Vec<usize> = picks.iter().map(|i| i % logits.len()).collect();
            let (mut encoder, mut length) = (Encoder::default(), Length::default());
            for token in &tokens {
                encoder.encode(starts[*token], widths[*token], TOKEN_BITS);
                length.add(widths[*token], TOKEN_BITS);
            }
            let stream = encoder.finish();
            prop_assert_eq!(stream.len() as u64, length.bytes());
            let mut decoder = Decoder::new(&stream);
            for token in &tokens {
                let part = decoder.peek(TOKEN_BITS);
                let found = starts.partition_point(|s| *s <= part) - 1;
                prop_assert_eq!(found, *token);
                decoder.take(starts[found], widths[found], TOKEN_BITS);
            }
        }
    }

    #[test]
    fn a_width_costs_what_the_probability_says() {
        for p in [0.9f64, 0.5, 1e-3, 1e-6] {
            let width = token_width(p.ln() as f32, 50_304);
            let bits = f64::from(TOKEN_BITS) - (width as f64).log2();
            assert!((bits + p.log2()).abs() < 2e-4, "{p}: {bits}");
        }
        assert_eq!(token_width(f32::NEG_INFINITY, 50_304), 1);
        assert_eq!(token_width(f32::NAN, 50_304), 1);
        assert!(token_width(0.0, 50_304) <= 1 << TOKEN_BITS);
    }
}
