//! The order of the stages: each after what it needs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::error::SpecError;
use super::file::StageSpec;

/// Most names of a cycle that a message lists.
const SHOWN: usize = 12;

/// Places of the stages in topological order, ties by place in the file.
///
/// Stages that need each other come last, with the error that says so.
pub(crate) fn topological(stages: &[StageSpec<'_>]) -> (Vec<usize>, Option<SpecError>) {
    let places: BTreeMap<&str, usize> = stages.iter().map(|s| s.name).zip(0..).collect();
    let ups: Vec<BTreeSet<usize>> = stages
        .iter()
        .map(|stage| {
            let names = stage.needs.iter().map(|need| need.stage.as_str());
            names.filter_map(|name| places.get(name).copied()).collect()
        })
        .collect();
    let mut downs = vec![Vec::new(); ups.len()];
    for (down, ups) in ups.iter().enumerate() {
        for up in ups {
            downs[*up].push(down);
        }
    }
    let mut waiting: Vec<usize> = ups.iter().map(BTreeSet::len).collect();
    let free = (0..ups.len()).filter(|place| waiting[*place] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(Reverse).collect();
    let mut order = Vec::with_capacity(ups.len());
    while let Some(Reverse(place)) = ready.pop() {
        order.push(place);
        for down in &downs[place] {
            waiting[*down] -= 1;
            if waiting[*down] == 0 {
                ready.push(Reverse(*down));
            }
        }
    }
    let stuck: Vec<usize> = (0..ups.len()).filter(|p| waiting[*p] > 0).collect();
    let error = find_cycle(&ups, &stuck).map(|cycle| describe(stages, &cycle));
    order.extend(stuck);
    (order, error)
}

/// A cycle among stages of which each needs another of them, in the direction of the data.
fn find_cycle(ups: &[BTreeSet<usize>], stuck: &[usize]) -> Option<Vec<usize>> {
    let among: BTreeSet<usize> = stuck.iter().copied().collect();
    let mut place = *stuck.first()?;
    let mut path = Vec::new();
    let mut seen = BTreeMap::new();
    while !seen.contains_key(&place) {
        seen.insert(place, path.len());
        path.push(place);
        place = *ups[place].iter().find(|up| among.contains(up))?;
    }
    path.drain(..seen[&place]);
    path.reverse();
    let first = path.iter().enumerate().min_by_key(|(_, place)| **place)?.0;
    path.rotate_left(first);
    Some(path)
}

fn describe(stages: &[StageSpec<'_>], cycle: &[usize]) -> SpecError {
    let first = &stages[cycle[0]];
    let mut names: Vec<&str> = cycle.iter().take(SHOWN).map(|p| stages[*p].name).collect();
    if cycle.len() > SHOWN {
        names.push("…");
    }
    names.push(first.name);
    let message = format!("stages need each other in a circle: {}", names.join(" → "));
    SpecError::at(first.span.clone(), message).help("remove one of these `needs`")
}
