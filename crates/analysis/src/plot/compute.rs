//! Ratios against the compute of training, C = 6·N·D, with the front and its power law.

use cpipe_data::observations::Observation;

use super::axis::{self, Direction, Numbers, Tick, decades};
use super::font::superscript;
use super::frame::Frame;
use super::front::{Power, front, power};
use super::legend;
use super::page::{Page, Plan, foot, head, missing};
use super::scale::Log;
use super::scene::{Point, Scene, Stroke};
use super::study::{Panel, Panels, raised};
use super::style::Style;
use crate::fit::name_of;
use crate::text_table::significant;

/// Below this the front is no power law, and none is drawn.
const STRAIGHT: f64 = 0.9;

pub(super) fn figure(panels: &Panels<'_>, page: &Page) -> Scene {
    let style = &page.style;
    let names: Vec<String> = panels.models().into_iter().map(str::to_owned).collect();
    let rooms = panels.panels.iter().map(|panel| {
        let ratios: Vec<f64> = panel.cells.iter().map(|c| c.cr).collect();
        axis::room(style, &|ends| up(&Log::spanning(&ratios, ends), style))
    });
    let left = rooms.fold(0.0, f64::max);
    let notes = page.notes(&[note(panels)]);
    let legend = legend::room(style, &["model"], &names);
    let rooms = (left, legend, page.foot(&notes));
    let sheet = page.lay(Plan::charts(style, panels, rooms, 1));
    let mut scene = page.scene(&sheet);
    for panel in &panels.panels {
        let frame = sheet.frame((panel.row, 0), panel.column);
        paint(&mut scene, page, panels, panel, (frame, left));
        if sheet.first(panel.column) {
            axis::name_beside(&mut scene, style, frame, left, "compression ratio");
        }
        if sheet.last(panel.column) {
            legend::draw(&mut scene, style, frame, "model", &names);
        }
    }
    foot(&mut scene, style, &notes);
    scene
}

fn note(panels: &Panels<'_>) -> String {
    let size = name_of(panels.convention);
    let tokens = match panels.tokens_per_step() {
        Some(tokens) => format!("D = S × {tokens:.0} tokens"),
        None => {
            "D in units of the unknown tokens of a step: give the fit its tokens_per_step".into()
        }
    };
    format!(
        "C = 6·N·D floating-point operations, with N = P ({size}) and {tokens}. Ringed: the front, the \
         least ratio at that compute or less; dashed: its power law, least squares in logarithms."
    )
}

fn compute(panels: &Panels<'_>, cell: &Observation) -> f64 {
    6.0 * panels.size(cell) * cell.step as f64 * panels.tokens_per_step().unwrap_or(1.0)
}

fn paint(
    scene: &mut Scene,
    page: &Page,
    panels: &Panels<'_>,
    panel: &Panel<'_>,
    (frame, left): (Frame, f64),
) {
    let style = &page.style;
    let points: Vec<Point> = panel
        .cells
        .iter()
        .map(|c| (compute(panels, c), c.cr))
        .collect();
    let (x, y) = (
        Log::spanning(
            &points.iter().map(|p| p.0).collect::<Vec<_>>(),
            (frame.left, frame.right),
        ),
        Log::spanning(
            &points.iter().map(|p| p.1).collect::<Vec<_>>(),
            (frame.bottom, frame.top),
        ),
    );
    let place = |p: &Point| (x.place(p.0), y.place(p.1));
    let front = front(&points);
    let best: Vec<Point> = front.iter().map(|i| points[*i]).collect();
    let law = power(&best);
    head(
        scene,
        style,
        frame,
        panel,
        (&[told(law, best.len())], (left, 0.0)),
    );
    if let Some(law) = law.filter(|law| law.r2 >= STRAIGHT) {
        let line: Vec<Point> = x
            .samples(2)
            .iter()
            .map(|c| place(&(*c, law.at(*c))))
            .collect();
        for piece in frame.pieces(&line) {
            scene.line(&piece, Stroke::new(style.ink, 0.8 * style.curve).dashed());
        }
    }
    series(scene, page, panels, panel, &place);
    for point in &best {
        let ring = Stroke::new(style.ink, 0.7 * style.curve);
        scene.ring(place(point), 1.7 * style.dot, ring);
    }
    if best.is_empty() {
        missing(
            scene,
            style,
            frame,
            "no cell has a size, a step and a ratio above 0",
        );
    }
    scene.outline(frame, style.hairline());
    let across = decades(&x, style, Numbers::Powers, Direction::Across);
    let unit = match panels.tokens_per_step() {
        Some(_) => "compute C (FLOP)",
        None => "compute C (FLOP / tokens per step)",
    };
    axis::below(scene, style, frame, &across, unit);
    axis::beside(scene, style, frame, &up(&y, style));
}

fn up(axis: &Log, style: &Style) -> Vec<Tick> {
    decades(axis, style, Numbers::Plain, Direction::Up)
}

/// A line for each model through its steps.
fn series(
    scene: &mut Scene,
    page: &Page,
    panels: &Panels<'_>,
    panel: &Panel<'_>,
    place: &dyn Fn(&Point) -> Point,
) {
    let style = &page.style;
    let models = panels.models();
    for (index, model) in models.iter().enumerate() {
        let cells = panel.cells.iter().filter(|c| c.model == *model);
        let points: Vec<Point> = cells
            .map(|c| place(&(compute(panels, c), c.cr)))
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect();
        let colour = style.ordered(index, models.len());
        scene.line(&points, Stroke::new(colour, 0.7 * style.curve));
        for point in points {
            scene.dot(point, style.dot, colour, None);
        }
    }
}

/// What the front says in a line.
fn told(law: Option<Power>, count: usize) -> String {
    match law {
        None => format!("front of {count}: too few for a power law"),
        Some(law) if law.r2 < STRAIGHT => {
            format!("front of {count}: no power law (R² = {:.2})", law.r2)
        }
        Some(law) => {
            let (scale, power) = (scale(law.scale), raised(law.exponent));
            format!(
                "front of {count}: CR = {scale} C{power}, R² = {:.3}",
                law.r2
            )
        }
    }
}

/// 3.21, or 1.2×10⁷.
fn scale(value: f64) -> String {
    let text = significant(value);
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{digits}×10{}", superscript(exponent)),
        None => text,
    }
}

impl Power {
    fn at(&self, compute: f64) -> f64 {
        self.scale * libm::pow(compute, -self.exponent)
    }
}
