//! Where the boxes of a graph go: layers from left to right, crossings kept few.

use std::collections::{BTreeMap, BTreeSet};

/// Rounds of moving boxes to the middle of their neighbours.
const SWEEPS: usize = 8;

/// Places of the boxes of a graph.
pub(super) struct Layout {
    /// Of each box its layer and its row, in rows from the middle of the layer.
    pub(super) boxes: Vec<(usize, f64)>,
    /// Of each edge the places that it passes through, both ends included.
    pub(super) edges: Vec<Vec<(usize, f64)>>,
    /// Number of layers.
    pub(super) layers: usize,
    /// Places in the fullest layer.
    pub(super) rows: usize,
}

/// Lays out `count` boxes whose edges go from lower to higher numbers.
pub(super) fn layout(count: usize, edges: &BTreeSet<(usize, usize)>) -> Layout {
    let layer = layers(count, edges);
    let (chains, places) = chains(&layer, edges);
    let mut layer_of = layer.clone();
    layer_of.resize(places, 0);
    for ((up, _), chain) in edges.iter().zip(&chains) {
        for (step, place) in chain.iter().enumerate() {
            layer_of[*place] = layer[*up] + step;
        }
    }
    let order = order(&layer_of, &chains);
    let row = rows(&order, places);
    let at = |place: &usize| (layer_of[*place], row[*place]);
    Layout {
        boxes: (0..count).map(|place| at(&place)).collect(),
        edges: chains
            .iter()
            .map(|chain| chain.iter().map(at).collect())
            .collect(),
        layers: order.len(),
        rows: order.iter().map(Vec::len).max().unwrap_or(0),
    }
}

/// As late as what needs a box allows; what nobody needs as early as it can be.
fn layers(count: usize, edges: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    let mut layer = vec![0_usize; count];
    for (up, down) in edges {
        // Edges are sorted by their upper end, whose own layer is final by then.
        layer[*down] = layer[*down].max(layer[*up] + 1);
    }
    for (up, _) in edges.iter().rev() {
        let downs = edges.range((*up, 0)..(*up + 1, 0));
        let first = downs.map(|(_, down)| layer[*down]).min().unwrap_or(1);
        layer[*up] = first.saturating_sub(1);
    }
    layer
}

/// Each edge as a chain of places: its ends, and a place of its own in every layer between. With
/// the number of all places.
fn chains(layer: &[usize], edges: &BTreeSet<(usize, usize)>) -> (Vec<Vec<usize>>, usize) {
    let mut next = layer.len();
    let chain = |(up, down): &(usize, usize)| {
        let between = layer[*down].saturating_sub(layer[*up] + 1);
        let mut chain = vec![*up];
        chain.extend(next..next + between);
        next += between;
        chain.push(*down);
        chain
    };
    (edges.iter().map(chain).collect(), next)
}

/// The places of each layer from top to bottom.
fn order(layer_of: &[usize], chains: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let count = layer_of.iter().max().map_or(0, |most| most + 1);
    let mut order = vec![Vec::new(); count];
    for (place, layer) in layer_of.iter().enumerate() {
        order[*layer].push(place);
    }
    let mut ups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut downs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
        downs.entry(pair[0]).or_default().push(pair[1]);
        ups.entry(pair[1]).or_default().push(pair[0]);
    }
    for _ in 0..SWEEPS / 2 {
        sweep(&mut order, 0..count, &ups, layer_of.len());
        sweep(&mut order, (0..count).rev(), &downs, layer_of.len());
    }
    order
}

/// Moves the places of each layer to the middle of their neighbours.
fn sweep(
    order: &mut [Vec<usize>],
    layers: impl Iterator<Item = usize>,
    neighbours: &BTreeMap<usize, Vec<usize>>,
    places: usize,
) {
    for layer in layers {
        let row = rows(order, places);
        let middle = |place: &usize| match neighbours.get(place) {
            Some(others) => others.iter().map(|o| row[*o]).sum::<f64>() / others.len() as f64,
            None => row[*place],
        };
        let members = order[layer].iter();
        let mut sorted: Vec<(f64, usize)> = members.map(|p| (middle(p), *p)).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        order[layer] = sorted.into_iter().map(|(_, place)| place).collect();
    }
}

/// Rows from the middle of each layer.
fn rows(order: &[Vec<usize>], places: usize) -> Vec<f64> {
    let mut row = vec![0.0; places];
    for members in order {
        for (at, place) in members.iter().enumerate() {
            row[*place] = at as f64 - (members.len() as f64 - 1.0) / 2.0;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_go_right_and_boxes_do_not_share_a_place() {
        // weights, tokenizer, corpus, chunk, tokenize, score, aggregate, fit, plot.
        let edges = [
            (2, 3),
            (3, 4),
            (1, 4),
            (4, 5),
            (0, 5),
            (5, 6),
            (6, 7),
            (6, 8),
            (7, 8),
        ];
        let edges = BTreeSet::from(edges);
        let layout = layout(9, &edges);
        assert_eq!(layout.layers, 7);
        for chain in &layout.edges {
            assert!(
                chain.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1),
                "{chain:?}"
            );
        }
        let places: BTreeSet<(usize, i64)> = layout
            .boxes
            .iter()
            .map(|(layer, row)| (*layer, (row * 2.0) as i64))
            .collect();
        assert_eq!(places.len(), 9);
        // The weights stand right before what takes them.
        assert_eq!(layout.boxes[0].0 + 1, layout.boxes[5].0);
    }

    #[test]
    fn boxes_without_edges_stand_in_one_layer() {
        let layout = layout(3, &BTreeSet::new());
        assert_eq!((layout.layers, layout.rows), (1, 3));
    }
}
