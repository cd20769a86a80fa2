//! A batch as a card wants it: windows one under the other without padding, and where the work lies.

use std::cmp::Reverse;
use std::ops::Range;

use crate::batch::Rows;

/// Queries of an attention tile.
pub(crate) const QUERIES: usize = 64;

/// The numbers that a batch brings to the card, in one copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Ids, positions, tiles, wanted rows and targets, each from a multiple of four.
    pub(crate) words: Vec<u32>,
    pub(crate) tokens: usize,
    pub(crate) tiles: usize,
    /// Rows that predict a target.
    pub(crate) wanted: usize,
    /// Where in `words` each part begins.
    pub(crate) at: Parts,
}

/// Offsets in [`Packed::words`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) ids: usize,
    pub(crate) positions: usize,
    pub(crate) tiles: usize,
    pub(crate) wanted: usize,
    pub(crate) targets: usize,
}

impl Packed {
    pub(crate) fn new(rows: &Rows) -> Self {
        let positions: Vec<u32> = each(&rows.windows, |window| 0..window.len());
        let wanted: Vec<u32> = each(&rows.scored, Clone::clone);
        let tiles = tiles(&rows.windows);
        let mut words = Vec::new();
        let mut add = |part: &[u32]| {
            words.resize(words.len().next_multiple_of(4), 0);
            words.extend_from_slice(part);
            words.len() - part.len()
        };
        let at = Parts {
            ids: add(&rows.ids),
            positions: add(&positions),
            tiles: add(&tiles.concat()),
            wanted: add(&wanted),
            targets: add(&rows.targets),
        };
        Self {
            words,
            tokens: rows.ids.len(),
            tiles: tiles.len(),
            wanted: wanted.len(),
            at,
        }
    }

    /// The most words that a batch of so many tokens has: a tile for every token in the worst case.
    pub(crate) fn most_words(tokens: usize) -> usize {
        7 * tokens + 16
    }
}

fn each(ranges: &[Range<usize>], of: impl Fn(&Range<usize>) -> Range<usize>) -> Vec<u32> {
    ranges.iter().flat_map(of).map(|i| i as u32).collect()
}

/// First row and end of the window, and first query, of each [`QUERIES`] queries of a window: those
/// with most keys first, so that none of them is left for the end.
fn tiles(windows: &[Range<usize>]) -> Vec<[u32; 3]> {
    let of = |w: &Range<usize>| {
        let (start, end) = (w.start as u32, w.end as u32);
        w.clone()
            .step_by(QUERIES)
            .map(move |q| [start, end, q as u32])
    };
    let mut tiles: Vec<[u32; 3]> = windows.iter().flat_map(of).collect();
    tiles.sort_by_key(|[start, _, query]| (Reverse(query - start), *start));
    tiles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Sequence;

    #[test]
    fn windows_lie_one_under_the_other() {
        let long = Sequence::whole(&[7; 70]);
        let late = Sequence {
            ids: vec![1, 2, 3, 4],
            first: 2,
        };
        let packed = Packed::new(&Rows::new([&late, &long].into_iter()));
        assert_eq!((packed.tokens, packed.wanted, packed.tiles), (72, 71, 3));
        let words = |at: usize, n: usize| &packed.words[at..at + n];
        assert_eq!(words(packed.at.ids, 4), [1, 2, 3, 7]);
        assert_eq!(words(packed.at.positions, 5), [0, 1, 2, 0, 1]);
        assert_eq!(words(packed.at.tiles, 9), [3, 72, 67, 0, 3, 0, 3, 72, 3]);
        assert_eq!(words(packed.at.wanted, 4), [1, 2, 3, 4]);
        assert_eq!(words(packed.at.targets, 3), [3, 4, 7]);
    }

    proptest! {
        #[test]
        fn every_query_is_in_one_tile_and_all_fits(lengths in proptest::collection::vec(2usize..300, 1..20)) {
            let sequences: Vec<Sequence> = lengths.iter().map(|n| Sequence::whole(&vec![1; *n])).collect();
            let packed = Packed::new(&Rows::new(sequences.iter()));
            let mut seen = vec![0; packed.tokens];
            for tile in packed.words[packed.at.tiles..][..3 * packed.tiles].as_chunks::<3>().0 {
                let [start, end, query] = tile.map(|x| x as usize);
                prop_assert!(start <= query && query < end && (query - start) % QUERIES == 0);
                seen[query..end.min(query + QUERIES)].iter_mut().for_each(|n| *n += 1);
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
            prop_assert!(packed.words.len() <= Packed::most_words(packed.tokens));
            prop_assert!(packed.at.ids.is_multiple_of(4) && packed.at.targets.is_multiple_of(4));
        }
    }
}
