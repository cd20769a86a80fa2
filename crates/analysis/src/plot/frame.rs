//! Rectangles, and which part of a line lies within one.

use super::scene::Point;

/// A rectangle on the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Frame {
    pub(super) fn at((left, top): Point, (width, height): (f64, f64)) -> Self {
        Self {
            left,
            top,
            right: left + width,
            bottom: top + height,
        }
    }

    pub(super) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    pub(super) fn middle(&self) -> Point {
        (
            f64::midpoint(self.left, self.right),
            f64::midpoint(self.top, self.bottom),
        )
    }

    pub(super) fn corners(&self) -> [Point; 4] {
        [
            (self.left, self.top),
            (self.right, self.top),
            (self.right, self.bottom),
            (self.left, self.bottom),
        ]
    }

    pub(super) fn clamp_y(&self, y: f64) -> f64 {
        y.clamp(self.top, self.bottom)
    }

    /// The pieces of a line, drawn from left to right, that lie between top and bottom.
    pub(super) fn pieces(&self, points: &[Point]) -> Vec<Vec<Point>> {
        let mut pieces = Vec::new();
        let mut piece: Vec<Point> = Vec::new();
        for pair in points.windows(2) {
            match self.part(pair[0], pair[1]) {
                Some((from, to)) => {
                    if piece.last() != Some(&from) {
                        pieces.push(std::mem::replace(&mut piece, vec![from]));
                    }
                    piece.push(to);
                }
                None => pieces.push(std::mem::take(&mut piece)),
            }
        }
        pieces.push(piece);
        pieces.retain(|piece| piece.len() > 1);
        pieces
    }

    /// The part of a stretch that lies between top and bottom.
    fn part(&self, from: Point, to: Point) -> Option<(Point, Point)> {
        if !(from.1.is_finite() && to.1.is_finite()) {
            return None;
        }
        let (mut start, mut end) = (0.0_f64, 1.0_f64);
        let rise = to.1 - from.1;
        for (bound, sign) in [(self.top, -1.0), (self.bottom, 1.0)] {
            let (slope, room) = (sign * rise, sign * (bound - from.1));
            if slope == 0.0 {
                if room < 0.0 {
                    return None;
                }
            } else if slope > 0.0 {
                end = end.min(room / slope);
            } else {
                start = start.max(room / slope);
            }
        }
        let at = |t: f64| match t {
            0.0 => from,
            1.0 => to,
            t => (from.0 + t * (to.0 - from.0), from.1 + t * rise),
        };
        (start < end).then(|| (at(start), at(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_top_and_bottom() {
        let frame = Frame::at((0.0, 0.0), (10.0, 10.0));
        let line = [(0.0, -10.0), (2.0, 10.0), (4.0, 30.0), (6.0, 5.0)];
        let pieces = frame.pieces(&line);
        assert_eq!(pieces[0], [(1.0, 0.0), (2.0, 10.0)]);
        assert_eq!(pieces[1], [(5.6, 10.0), (6.0, 5.0)]);
        assert!(frame.pieces(&[(0.0, 11.0), (9.0, 12.0)]).is_empty());
        assert!(frame.pieces(&[(0.0, f64::NAN), (9.0, 2.0)]).is_empty());
    }
}
