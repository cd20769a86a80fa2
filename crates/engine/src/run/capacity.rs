use std::collections::BTreeMap;

/// What a node takes while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) cores: usize,
    pub(super) pools: BTreeMap<String, u64>,
}

/// What is free; never below zero.
#[derive(Clone, Debug)]
pub(super) struct Capacity {
    cores: usize,
    pools: BTreeMap<String, u64>,
}

impl Capacity {
    pub(super) fn new(cores: usize, pools: BTreeMap<String, u64>) -> Self {
        Self {
            cores: cores.max(1),
            pools,
        }
    }

    pub(super) fn cores(&self) -> usize {
        self.cores
    }

    /// Whether that much is free.
    pub(super) fn has(&self, share: &Share) -> bool {
        let free = |name: &String| self.pools.get(name).copied().unwrap_or(0);
        share.cores <= self.cores && share.pools.iter().all(|(name, n)| *n <= free(name))
    }

    /// Takes a share that [`Capacity::has`] said is free.
    pub(super) fn take(&mut self, share: &Share) {
        self.cores -= share.cores;
        for (name, n) in &share.pools {
            if let Some(free) = self.pools.get_mut(name) {
                *free -= n;
            }
        }
    }

    pub(super) fn give_back(&mut self, share: &Share) {
        self.cores += share.cores;
        for (name, n) in &share.pools {
            if let Some(free) = self.pools.get_mut(name) {
                *free += n;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pools(net: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("net".to_owned(), net)])
    }

    proptest! {
        #[test]
        fn nothing_is_ever_oversubscribed(asked in proptest::collection::vec((1usize..5, 0u64..4), 1..40)) {
            let mut capacity = Capacity::new(4, pools(3));
            let mut taken: Vec<Share> = Vec::new();
            for (cores, net) in asked {
                let share = Share { cores, pools: pools(net) };
                if capacity.has(&share) {
                    capacity.take(&share);
                    taken.push(share);
                } else if let Some(done) = taken.pop() {
                    capacity.give_back(&done);
                }
                let cores: usize = taken.iter().map(|s| s.cores).sum();
                let net: u64 = taken.iter().map(|s| s.pools["net"]).sum();
                prop_assert!(cores <= 4 && net <= 3);
                prop_assert_eq!(capacity.cores(), 4 - cores);
            }
        }
    }

    #[test]
    fn a_pool_that_is_not_there_has_nothing() {
        let capacity = Capacity::new(2, BTreeMap::new());
        let share = Share {
            cores: 1,
            pools: pools(1),
        };
        assert!(!capacity.has(&share));
    }
}
