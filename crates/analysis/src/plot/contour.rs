//! Contours of values on a grid, as closed loops (marching squares).

use std::collections::BTreeMap;

use super::scene::Point;

/// Values at the crossings of vertical lines at `x` and horizontal lines at `y`, row by row.
pub(super) struct Field {
    pub(super) x: Vec<f64>,
    pub(super) y: Vec<f64>,
    pub(super) values: Vec<f64>,
}

/// A crossing of the grid with one more line around it, from (0, 0).
type Node = (usize, usize);
/// The stretch from a node to the one right of it (`false`) or below it (`true`).
type Edge = (usize, usize, bool);

impl Field {
    /// Loops around everything from `level` up; what lies within an even number of them is below.
    /// At the border of the grid they run along it.
    pub(super) fn above(&self, level: f64) -> Vec<Vec<Point>> {
        let mut next: BTreeMap<Edge, Edge> = BTreeMap::new();
        for row in 0..=self.y.len() {
            for column in 0..=self.x.len() {
                for (from, to) in self.cell((column, row), level) {
                    next.insert(from, to);
                }
            }
        }
        let mut loops = Vec::new();
        while let Some((start, mut edge)) = next.pop_first() {
            let mut points = vec![self.crossing(start, level)];
            while edge != start {
                points.push(self.crossing(edge, level));
                // Every edge that a stretch leads to has one that leads on: loops are closed.
                let Some(on) = next.remove(&edge) else { break };
                edge = on;
            }
            points.dedup();
            loops.push(points);
        }
        loops
    }

    /// Outside the grid, and where there is no number, everything is lowest.
    fn value(&self, (column, row): Node) -> f64 {
        let inside = column > 0 && row > 0 && column <= self.x.len() && row <= self.y.len();
        if inside {
            let value = self.values[(row - 1) * self.x.len() + column - 1];
            if value.is_nan() {
                f64::NEG_INFINITY
            } else {
                value
            }
        } else {
            f64::NEG_INFINITY
        }
    }

    fn place(&self, (column, row): Node) -> Point {
        let at = |lines: &[f64], i: usize| lines[i.clamp(1, lines.len()) - 1];
        (at(&self.x, column), at(&self.y, row))
    }

    /// Where the level is met between two nodes.
    fn crossing(&self, (column, row, down): Edge, level: f64) -> Point {
        let to = if down {
            (column, row + 1)
        } else {
            (column + 1, row)
        };
        let ends = [(column, row), to];
        let [low, high] = ends.map(|node| self.value(node));
        let [from, to] = ends.map(|node| self.place(node));
        let part = match (low.is_finite(), high.is_finite()) {
            (true, true) => (level - low) / (high - low),
            (true, false) => 0.0,
            _ => 1.0,
        };
        (
            from.0 + part * (to.0 - from.0),
            from.1 + part * (to.1 - from.1),
        )
    }

    /// The stretches through a cell, what is above the level to their right.
    fn cell(&self, (column, row): Node, level: f64) -> Vec<(Edge, Edge)> {
        let corners = [(0, 0), (1, 0), (1, 1), (0, 1)];
        let values = corners.map(|(x, y)| self.value((column + x, row + y)));
        let code = (0..4).fold(0, |code, i| code | usize::from(values[i] >= level) << i);
        let top = (column, row, false);
        let bottom = (column, row + 1, false);
        let left = (column, row, true);
        let right = (column + 1, row, true);
        let middle = values.iter().sum::<f64>() / 4.0 >= level;
        match code {
            1 => vec![(top, left)],
            2 => vec![(right, top)],
            3 => vec![(right, left)],
            4 => vec![(bottom, right)],
            5 if middle => vec![(top, right), (bottom, left)],
            5 => vec![(top, left), (bottom, right)],
            6 => vec![(bottom, top)],
            7 => vec![(bottom, left)],
            8 => vec![(left, bottom)],
            9 => vec![(top, bottom)],
            10 if middle => vec![(left, top), (right, bottom)],
            10 => vec![(right, top), (left, bottom)],
            11 => vec![(right, bottom)],
            12 => vec![(left, right)],
            13 => vec![(top, right)],
            14 => vec![(left, top)],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(points: &[Point]) -> f64 {
        let next = points.iter().cycle().skip(1);
        let twice: f64 = points
            .iter()
            .zip(next)
            .map(|(a, b)| a.0 * b.1 - b.0 * a.1)
            .sum();
        (twice / 2.0).abs()
    }

    fn field(count: usize, value: impl Fn(f64, f64) -> f64) -> Field {
        let lines: Vec<f64> = (0..count)
            .map(|i| 4.0 * i as f64 / (count - 1) as f64 - 2.0)
            .collect();
        let values = lines
            .iter()
            .flat_map(|y| lines.iter().map(|x| value(*x, *y)))
            .collect();
        Field {
            x: lines.clone(),
            y: lines,
            values,
        }
    }

    #[test]
    fn a_circle_has_its_area_and_a_ring_two_loops() {
        let circle = field(101, |x, y| 1.0 - x * x - y * y).above(0.0);
        assert_eq!(circle.len(), 1);
        assert!((area(&circle[0]) - std::f64::consts::PI).abs() < 5e-3);
        let ring = field(101, |x, y| 0.25 - (1.0 - x * x - y * y).abs()).above(0.0);
        assert_eq!(ring.len(), 2);
        let between = (area(&ring[0]) - area(&ring[1])).abs();
        assert!((between - 0.5 * std::f64::consts::PI).abs() < 5e-3);
    }

    #[test]
    fn what_reaches_the_border_is_closed_along_it() {
        let all = field(11, |_, _| 1.0).above(0.0);
        assert!((area(&all[0]) - 16.0).abs() < 1e-12);
        let half = field(11, |x, _| x).above(1.0);
        assert!((area(&half[0]) - 4.0).abs() < 1e-12);
        assert!(field(11, |_, _| f64::NAN).above(0.0).is_empty());
    }

    #[test]
    fn saddles_are_two_loops_or_one() {
        let saddle = field(4, |x, y| x * y);
        assert_eq!(saddle.above(0.1).len(), 2);
    }
}
