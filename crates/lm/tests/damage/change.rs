//! Damage.

use proptest::prelude::*;
use proptest::test_runner::Config;

/// Numbers that lengths and offsets should not be.
const NUMBERS: [u64; 8] = [
    0,
    1,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 40,
    1 << 62,
    u64::MAX >> 1,
    u64::MAX,
];

/// One change. Places are parts of a file of any length.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Other bits in one byte.
    Flip(f64, u8),
    /// The end is gone.
    Cut(f64),
    /// Some bytes stand again behind themselves.
    Repeat(f64, usize),
    /// Some bytes are gone.
    Drop(f64, usize),
    /// A number of 4 or 8 bytes is another.
    Number(f64, usize, usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |part: f64| ((bytes.len() as f64 * part) as usize).min(bytes.len());
        match *self {
            Self::Flip(part, bits) => {
                let at = at(part);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Self::Cut(part) => bytes.truncate(at(part)),
            Self::Repeat(part, length) => {
                let at = at(part);
                let again = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Drop(part, length) => {
                let at = at(part);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Self::Number(part, number, width) => {
                let at = at(part);
                if let Some(place) = bytes.get_mut(at..at + width) {
                    place.copy_from_slice(&NUMBERS[number].to_le_bytes()[..width]);
                }
            }
        }
    }
}

/// A place: half of them near the beginning, where headers are.
fn place() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..0.02, 0.0..1.0]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (place(), 1_u8..).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => place().prop_map(Change::Cut),
        2 => (place(), 1_usize..40).prop_map(|(at, n)| Change::Repeat(at, n)),
        2 => (place(), 1_usize..40).prop_map(|(at, n)| Change::Drop(at, n)),
        2 => (place(), 0..NUMBERS.len(), prop_oneof![Just(4_usize), Just(8)])
            .prop_map(|(at, number, width)| Change::Number(at, number, width)),
    ]
}

/// A few changes, one after the other.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 1..4)
}

/// The file after all of them.
pub(crate) fn damaged(whole: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for change in changes {
        change.apply(&mut bytes);
    }
    bytes
}

/// As many tries as `PROPTEST_CASES` says.
pub(crate) fn config() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}
