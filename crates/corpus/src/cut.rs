//! Cutting decoded streams into equal chunks, and choosing among them.

use cpipe_data::chunks::Origin;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::chunk_params::Order;
use crate::error::CorpusError;

/// A decoded stream of one file.
pub(crate) struct Stream {
    pub(crate) file: String,
    pub(crate) bytes: Vec<u8>,
}

/// A chunk and where its first byte stood.
pub(crate) type Piece = (Origin, Vec<u8>);

/// Joins streams and cuts every `size` bytes; what is left at the end is dropped.
pub(crate) fn cut_joined(streams: &[Stream], size: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut piece: Option<Piece> = None;
    for stream in streams {
        let mut at = 0;
        while at < stream.bytes.len() {
            let (_, bytes) = piece.get_or_insert_with(|| {
                let origin = Origin {
                    file: stream.file.clone(),
                    offset: at as u64,
                };
                (origin, Vec::with_capacity(size))
            });
            let take = (size - bytes.len()).min(stream.bytes.len() - at);
            bytes.extend_from_slice(&stream.bytes[at..at + take]);
            at += take;
            if bytes.len() == size {
                pieces.extend(piece.take());
            }
        }
    }
    pieces
}

/// The numbers of the chunks that are taken of `available`.
pub(crate) fn choose(
    available: usize,
    offset: usize,
    count: Option<usize>,
    order: Order,
    seed: u64,
) -> Result<Vec<usize>, CorpusError> {
    let rest = available.saturating_sub(offset);
    let count = count.unwrap_or(rest);
    if count > rest || rest == 0 {
        return Err(CorpusError::TooFew {
            available: rest,
            offset,
            count,
        });
    }
    let chosen: Vec<usize> = match order {
        Order::First => (0..count).collect(),
        Order::Even => (0..count).map(|i| i * rest / count).collect(),
        Order::Random => {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut drawn = index::sample(&mut random, rest, count).into_vec();
            drawn.sort_unstable();
            drawn
        }
    };
    Ok(chosen.into_iter().map(|i| i + offset).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn joined_chunks_are_the_stream(lengths in proptest::collection::vec(0usize..40, 0..6), size in 1usize..17) {
            let mut next = 0u8;
            let streams: Vec<Stream> = lengths.iter().enumerate().map(|(i, n)| Stream {
                file: format!("f{i}"),
                bytes: (0..*n).map(|_| { next = next.wrapping_add(1); next }).collect(),
            }).collect();
            let all: Vec<u8> = streams.iter().flat_map(|s| s.bytes.clone()).collect();
            let pieces = cut_joined(&streams, size);
            prop_assert_eq!(pieces.len(), all.len() / size);
            let joined: Vec<u8> = pieces.iter().flat_map(|(_, b)| b.clone()).collect();
            prop_assert_eq!(&joined[..], &all[..all.len() / size * size]);
            for (origin, bytes) in &pieces {
                let stream = streams.iter().find(|s| s.file == origin.file).unwrap();
                prop_assert_eq!(stream.bytes[origin.offset as usize], bytes[0]);
            }
        }

        #[test]
        fn a_choice_is_ascending_and_within(available in 1usize..200, offset in 0usize..50, count in 1usize..200, seed: u64) {
            for order in [Order::First, Order::Even, Order::Random] {
                match choose(available, offset, Some(count), order, seed) {
                    Ok(chosen) => {
                        prop_assert_eq!(chosen.len(), count);
                        prop_assert!(chosen.windows(2).all(|w| w[0] < w[1]));
                        prop_assert!(chosen.iter().all(|i| (offset..available).contains(i)));
                    }
                    Err(_) => prop_assert!(count > available.saturating_sub(offset)),
                }
            }
        }
    }

    #[test]
    fn a_seed_decides_a_random_choice() {
        let draw = |seed| choose(1000, 0, Some(10), Order::Random, seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
