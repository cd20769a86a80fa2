//! Memory that is kept for the next model: giving it back makes the whole card wait for all that it was
//! asked for, and the checkpoints of a model want the same pieces again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places by the bytes that are there.
pub(crate) struct Spare<T>(Mutex<BTreeMap<usize, Vec<T>>>);

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Spare<T> {
    /// A place of exactly so many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Option<T> {
        self.lock().get_mut(&bytes)?.pop()
    }

    pub(crate) fn keep(&self, bytes: usize, place: T) {
        self.lock().entry(bytes).or_default().push(place);
    }

    /// All that is kept.
    pub(crate) fn bytes(&self) -> usize {
        let places = self.lock();
        places.iter().map(|(bytes, all)| bytes * all.len()).sum()
    }

    /// Takes everything.
    pub(crate) fn empty(&self) -> Vec<T> {
        std::mem::take(&mut *self.lock())
            .into_values()
            .flatten()
            .collect()
    }

    /// Each change is one step, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_again_by_their_size() {
        let spare = Spare::default();
        spare.keep(8, 'a');
        spare.keep(8, 'b');
        spare.keep(512, 'c');
        assert_eq!((spare.bytes(), spare.take(9)), (528, None));
        assert!(spare.take(8).is_some() && spare.take(8).is_some() && spare.take(8).is_none());
        assert_eq!((spare.empty(), spare.bytes()), (vec!['c'], 0));
    }
}
