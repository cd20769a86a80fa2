//! Where panels stand on a page.

use super::axis;
use super::font::{fitting, wrap};
use super::frame::Frame;
use super::scene::{Anchor, Scene};
use super::study::{Panel, Panels};
use super::style::Style;

/// A page to be laid out: its style, and its size as far as that is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) style: Style,
    pub(super) width: Option<f64>,
    pub(super) height: Option<f64>,
}

/// Clear space around something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// How high a panel's frame wants to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Height {
    /// So many times its width.
    Times(f64),
    /// So many points.
    Points(f64),
}

/// What is to be laid out: `groups` × `lines` rows of `columns` panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) groups: usize,
    /// Rows of each group.
    pub(super) lines: usize,
    pub(super) columns: usize,
    /// Around all panels, within the margin.
    pub(super) around: Room,
    /// Around each panel's frame.
    pub(super) each: Room,
    /// Narrower frames than this go to a further row, and none is lower.
    pub(super) least: (f64, f64),
    pub(super) height: Height,
}

impl Plan {
    /// A chart for each panel: room on the left for numbers as wide as `numbers` and the axis' name, on
    /// the right for a legend, below for the axis and notes; a title with `lines` lines below it.
    pub(super) fn charts(
        style: &Style,
        panels: &Panels<'_>,
        (numbers, legend, notes): (f64, f64, f64),
        lines: usize,
    ) -> Self {
        Self {
            groups: panels.rows,
            lines: 1,
            columns: panels.columns,
            around: Room {
                left: 1.5 * style.label,
                right: legend,
                bottom: notes,
                top: 0.0,
            },
            each: Room {
                left: numbers + 0.5 * style.small,
                right: 0.3 * style.small,
                top: head_room(style, lines),
                bottom: axis::depth(style) + 0.6 * style.small,
            },
            least: (11.0 * style.small, 4.0 * style.small),
            height: Height::Times(0.9),
        }
    }
}

/// A laid out page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sheet {
    plan: Plan,
    margin: f64,
    /// Panels next to each other.
    across: usize,
    frame: (f64, f64),
    pub(super) size: (f64, f64),
}

impl Page {
    pub(super) fn lay(&self, plan: Plan) -> Sheet {
        let margin = self.style.margin();
        let width = self.width.unwrap_or(self.style.width);
        let least = plan.least.0.max(1.0);
        let sides = plan.each.left + plan.each.right;
        let free = width - 2.0 * margin - plan.around.left - plan.around.right;
        let wide = |across: usize| free / across as f64 - sides;
        let fits = (1..=plan.columns).rev().find(|n| wide(*n) >= least);
        let across = fits.unwrap_or(1);
        let frame = wide(across).max(least);
        let rows = (plan.columns.div_ceil(across) * plan.lines * plan.groups) as f64;
        let (above, below) = (
            plan.around.top + plan.each.top * rows,
            plan.each.bottom * rows,
        );
        let used = 2.0 * margin + above + below + plan.around.bottom;
        let wanted = match plan.height {
            Height::Times(part) => frame * part,
            Height::Points(height) => height,
        };
        let given = self.height.map(|height| (height - used) / rows);
        let high = given.unwrap_or(wanted).max(plan.least.1);
        let needed = frame * across as f64 + sides * across as f64;
        Sheet {
            plan,
            margin,
            across,
            frame: (frame, high),
            size: (
                (needed + plan.around.left + plan.around.right + 2.0 * margin).max(width),
                used + high * rows,
            ),
        }
    }

    /// A scene of the sheet's size.
    pub(super) fn scene(&self, sheet: &Sheet) -> Scene {
        Scene::new(sheet.size, self.style.background)
    }

    /// Notes broken into lines as wide as the page.
    pub(super) fn notes(&self, notes: &[String]) -> Vec<String> {
        let width = self.width.unwrap_or(self.style.width) - 2.0 * self.style.margin();
        let lines = notes.iter();
        lines
            .flat_map(|note| wrap(note, self.style.small, width, 6))
            .collect()
    }

    /// Room that notes take at the foot of a page.
    pub(super) fn foot(&self, lines: &[String]) -> f64 {
        match lines.len() {
            0 => 0.0,
            count => self.style.line() * (count as f64 + 0.3),
        }
    }
}

impl Sheet {
    /// Frame of the panel in that group and column; `line` counts within the group.
    pub(super) fn frame(&self, (group, line): (usize, usize), column: usize) -> Frame {
        let plan = &self.plan;
        let wraps = plan.columns.div_ceil(self.across);
        let row = (group * wraps + column / self.across) * plan.lines + line;
        let (width, height) = self.frame;
        let step = (
            width + plan.each.left + plan.each.right,
            height + plan.each.top + plan.each.bottom,
        );
        let left = self.margin + plan.around.left + plan.each.left;
        let top = self.margin + plan.around.top + plan.each.top;
        let corner = (
            left + step.0 * (column % self.across) as f64,
            top + step.1 * row as f64,
        );
        Frame::at(corner, self.frame)
    }

    /// Whether nothing stands to the left of that column's panels.
    pub(super) fn first(&self, column: usize) -> bool {
        column.is_multiple_of(self.across)
    }

    /// Whether nothing stands to the right of that column's panels.
    pub(super) fn last(&self, column: usize) -> bool {
        column % self.across == self.across - 1 || column + 1 == self.plan.columns
    }
}

/// The title of a panel and lines of small text below it, above its frame; shrunk to the room
/// between `left` and `right` of the frame.
pub(super) fn head(
    scene: &mut Scene,
    style: &Style,
    frame: Frame,
    panel: &Panel<'_>,
    (lines, (left, right)): (&[String], (f64, f64)),
) {
    let room = frame.width() + left + right - style.small;
    let middle = f64::midpoint(frame.left - left, frame.right + right);
    let mut at = frame.top - head_room(style, lines.len()) + 0.75 * style.title;
    let title = panel.title();
    let size = fitting(&title, style.title, room);
    scene.text(&title, (middle, at), size, Anchor::Centre, style.ink);
    at += 0.6 * style.title + 0.75 * style.small;
    for line in lines {
        let size = fitting(line, style.small, room);
        scene.text(line, (middle, at), size, Anchor::Centre, style.ink);
        at += style.line();
    }
}

/// Room above a frame for a title and lines of small text.
pub(super) fn head_room(style: &Style, lines: usize) -> f64 {
    1.7 * style.title + style.line() * lines as f64
}

/// Writes lines at the foot of the page.
pub(super) fn foot(scene: &mut Scene, style: &Style, lines: &[String]) {
    let (_, height) = scene.size;
    let mut at = height - style.margin() - style.line() * (lines.len() as f64 - 0.5);
    for line in lines {
        let left = (style.margin(), at);
        scene.text(line, left, style.small, Anchor::Left, style.ink);
        at += style.line();
    }
}

/// Says in the middle of a frame what is missing there.
pub(super) fn missing(scene: &mut Scene, style: &Style, frame: Frame, reason: &str) {
    let room = frame.width() - style.small;
    let most = (frame.height() / style.line()) as usize;
    let lines = wrap(reason, style.small, room, most.max(1));
    let (x, y) = frame.middle();
    let mut at = y - style.line() * (lines.len() as f64 - 1.0) / 2.0;
    for line in &lines {
        let size = fitting(line, style.small, room);
        scene.text(line, (x, at), size, Anchor::Centre, style.ink);
        at += style.line();
    }
}
