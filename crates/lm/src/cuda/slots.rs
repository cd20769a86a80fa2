//! Who may use which card: two nodes on each, of which one computes while the other loads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Nodes on a card at once.
const NODES: usize = 2;

/// The cards of a run and how many nodes are on each.
pub(crate) struct Slots {
    /// The driver's numbers of the cards.
    numbers: Vec<usize>,
    taken: Mutex<Vec<usize>>,
    given_back: Condvar,
    computing: Vec<Mutex<()>>,
}

/// A place on a card, given back when dropped.
pub(crate) struct Slot<'a> {
    slots: &'a Slots,
    card: usize,
}

impl Slots {
    /// For the cards of these numbers.
    pub(crate) fn new(numbers: Vec<usize>) -> Self {
        Self {
            taken: Mutex::new(vec![0; numbers.len()]),
            given_back: Condvar::new(),
            computing: numbers.iter().map(|_| Mutex::new(())).collect(),
            numbers,
        }
    }

    /// How many cards there are.
    #[cfg(feature = "cuda")]
    pub(crate) fn cards(&self) -> usize {
        self.numbers.len()
    }

    /// Waits for a place on the card that has most.
    pub(crate) fn take(&self) -> Slot<'_> {
        let full = |taken: &mut Vec<usize>| taken.iter().all(|n| *n >= NODES);
        let taken = self.given_back.wait_while(lock(&self.taken), full);
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        let card = (0..taken.len())
            .min_by_key(|card| taken[*card])
            .unwrap_or_default();
        taken[card] += 1;
        Slot { slots: self, card }
    }
}

impl Slot<'_> {
    /// The driver's number of its card.
    pub(crate) fn number(&self) -> usize {
        self.slots.numbers[self.card]
    }

    /// Waits until nobody else computes on this card, and keeps others from it.
    pub(crate) fn compute(&self) -> MutexGuard<'_, ()> {
        lock(&self.slots.computing[self.card])
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        lock(&self.slots.taken)[self.card] -= 1;
        self.slots.given_back.notify_one();
    }
}

/// Numbers of places stay right after a panic: a slot gives its place back on its way out.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn nodes_spread_over_cards() {
        let slots = Slots::new(vec![0, 3]);
        let taken = [slots.take(), slots.take(), slots.take(), slots.take()];
        assert_eq!(taken.each_ref().map(Slot::number), [0, 3, 0, 3]);
        let [_, second, ..] = taken;
        drop(second);
        assert_eq!(slots.take().number(), 3);
    }

    #[test]
    fn one_computes_while_at_most_one_other_loads() {
        let (slots, loaded, computing) = (
            Slots::new(vec![0]),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let slot = slots.take();
                    assert!(loaded.fetch_add(1, Ordering::SeqCst) < NODES);
                    let alone = slot.compute();
                    assert_eq!(computing.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    computing.fetch_sub(1, Ordering::SeqCst);
                    drop(alone);
                    loaded.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(loaded.into_inner(), 0);
    }
}
