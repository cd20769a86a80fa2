//! Ratios of single chunks: letter values of every cell, models next to each other, steps by colour.

use std::collections::BTreeMap;

use cpipe_data::observations::Observation;

use super::axis::{self, Direction, Tick, thin};
use super::frame::Frame;
use super::legend;
use super::page::{Page, Plan, foot, head, missing};
use super::scale::{Linear, short, step_name};
use super::scene::{Scene, Stroke};
use super::study::{Panel, Panels};
use crate::bootstrap::quantile;

/// A cell's sorted ratios.
struct Group {
    /// Place of its model and of its step in the panel.
    model: usize,
    step: usize,
    ratios: Vec<f64>,
}

/// (protocol, modality, model, step) → ratios.
type ByCell<'d> = BTreeMap<(&'d str, &'d str, &'d str, u64), Vec<f64>>;

/// Beside each other, between the models.
const GAP: f64 = 0.8;
/// What boxes hold, from the widest: halves, then quarters of what is left.
const BOXES: [(f64, f64); 2] = [(0.125, 0.55), (0.25, 0.92)];
const ABSENT: &str = "no chunks: give the stage the input chunks: \"aggregate:chunks.parquet\"";

pub(super) fn figure(panels: &Panels<'_>, page: &Page) -> Scene {
    let style = &page.style;
    let by_cell = by_cell(panels);
    let names: Vec<String> = panels.steps().into_iter().map(step_name).collect();
    let rooms = panels.panels.iter().map(|panel| {
        let ends = ends(&groups(panels, panel, &by_cell));
        let up = |at| axis::round(&Linear::spanning(&ends, at), style, Direction::Up);
        axis::room(style, &up)
    });
    let left = rooms.fold(0.0, f64::max);
    let notes = page.notes(&notes(&by_cell));
    let legend = legend::room(style, &["step S"], &names);
    let rooms = (left, legend, page.foot(&notes));
    let sheet = page.lay(Plan {
        least: (14.0 * style.small, 4.0 * style.small),
        ..Plan::charts(style, panels, rooms, 1)
    });
    let mut scene = page.scene(&sheet);
    for panel in &panels.panels {
        let frame = sheet.frame((panel.row, 0), panel.column);
        let counts = counts(panel);
        head(&mut scene, style, frame, panel, (&[counts], (left, 0.0)));
        paint(&mut scene, page, panels, panel, (&by_cell, frame));
        if sheet.first(panel.column) {
            axis::name_beside(
                &mut scene,
                style,
                frame,
                left,
                "compression ratio of a chunk",
            );
        }
        if sheet.last(panel.column) {
            legend::draw(&mut scene, style, frame, "step S", &names);
        }
    }
    foot(&mut scene, style, &notes);
    scene
}

fn by_cell<'d>(panels: &Panels<'d>) -> ByCell<'d> {
    let mut found = ByCell::new();
    for row in panels.study.chunks.iter().flatten() {
        let (protocol, modality, model, step) = &row.cell;
        if row.ratio.is_finite() {
            let key = (protocol.as_str(), modality.as_str(), model.as_str(), *step);
            found.entry(key).or_default().push(row.ratio);
        }
    }
    for ratios in found.values_mut() {
        ratios.sort_by(f64::total_cmp);
    }
    found
}

fn notes(by_cell: &ByCell<'_>) -> Vec<String> {
    let most = by_cell.values().map(Vec::len).max().unwrap_or_default();
    if most == 0 {
        return Vec::new();
    }
    vec![format!(
        "Each column is a cell of {most} chunks: line, least to greatest; narrow box, the middle three \
         quarters; wide box, the middle half; bar, median; dot, mean."
    )]
}

/// How many chunks were scored, and how many of them do not count.
fn counts(panel: &Panel<'_>) -> String {
    let dropped: u64 = panel.cells.iter().map(|c| c.dropped).sum();
    let chunks: u64 = panel.cells.iter().map(|c| c.chunks).sum();
    match dropped {
        0 => format!("{chunks} scored"),
        dropped => format!("{chunks} scored, {dropped} of them left out"),
    }
}

fn paint(
    scene: &mut Scene,
    page: &Page,
    panels: &Panels<'_>,
    panel: &Panel<'_>,
    (by_cell, frame): (&ByCell<'_>, Frame),
) {
    let style = &page.style;
    let (models, steps) = (panel.models(), panels.steps());
    let groups = groups(panels, panel, by_cell);
    let y = Linear::spanning(&ends(&groups), (frame.bottom, frame.top));
    let (count, each) = (models.len().max(1) as f64, steps.len().max(1) as f64);
    let pitch = frame.width() / (count * (each + GAP));
    for group in &groups {
        let column = group.model as f64 * (each + GAP) + GAP / 2.0 + group.step as f64 + 0.5;
        let x = frame.left + pitch * column;
        let order = (group.step, steps.len());
        letters(scene, page, (x, pitch), (&group.ratios, &y), order);
    }
    if groups.is_empty() {
        let absent = panels.study.chunks.is_none();
        let reason = if absent {
            ABSENT
        } else {
            "no chunk counts here"
        };
        missing(scene, style, frame, reason);
    }
    scene.outline(frame, style.hairline());
    axis::beside(scene, style, frame, &axis::round(&y, style, Direction::Up));
    let tick = |(i, model): (usize, &&str)| Tick {
        at: frame.left + pitch * ((i as f64 + 0.5) * (each + GAP)),
        label: size_of(panels, panel, model),
    };
    let mut ticks: Vec<Tick> = models.iter().enumerate().map(tick).collect();
    thin(&mut ticks, style, Direction::Across);
    axis::below(scene, style, frame, &ticks, &panels.size_label());
}

/// Names of models are long; their sizes are what the figure is about.
fn size_of(panels: &Panels<'_>, panel: &Panel<'_>, model: &str) -> String {
    let cell = panel.cells.iter().find(|c| c.model == model);
    let size = cell.map_or(f64::NAN, |c| panels.size(c));
    if size.is_finite() {
        short(size)
    } else {
        model.to_owned()
    }
}

fn groups(panels: &Panels<'_>, panel: &Panel<'_>, by_cell: &ByCell<'_>) -> Vec<Group> {
    let (models, steps) = (panel.models(), panels.steps());
    let group = |cell: &&Observation| {
        let key = (
            panel.protocol,
            panel.modality,
            cell.model.as_str(),
            cell.step,
        );
        Some(Group {
            model: models.iter().position(|m| *m == cell.model)?,
            step: steps.iter().position(|s| *s == cell.step as f64)?,
            ratios: by_cell.get(&key)?.clone(),
        })
    };
    panel.cells.iter().filter_map(group).collect()
}

/// Least and greatest ratio of each group.
fn ends(groups: &[Group]) -> Vec<f64> {
    let ends = groups
        .iter()
        .flat_map(|g| [g.ratios.first(), g.ratios.last()]);
    ends.flatten().copied().collect()
}

fn letters(
    scene: &mut Scene,
    page: &Page,
    (x, pitch): (f64, f64),
    (ratios, y): (&[f64], &Linear),
    (order, count): (usize, usize),
) {
    let style = &page.style;
    let colour = style.ordered(order, count);
    let quantile = |q: f64| y.place(quantile(ratios, q));
    let line = [(x, quantile(0.0)), (x, quantile(1.0))];
    scene.line(
        &line,
        Stroke::new(colour, (0.12 * pitch).min(1.6 * style.hair)),
    );
    for (depth, part) in BOXES {
        let half = part * pitch / 2.0;
        let shape = Frame {
            left: x - half,
            right: x + half,
            top: quantile(1.0 - depth),
            bottom: quantile(depth),
        };
        scene.rectangle(
            shape,
            colour.mixed(style.background, if part < 0.9 { 0.45 } else { 0.0 }),
        );
    }
    let ink = colour.ink();
    let (half, median) = (0.46 * pitch, quantile(0.5));
    let bar = [(x - half, median), (x + half, median)];
    scene.line(&bar, Stroke::new(ink, 1.2 * style.hair));
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let edge = Stroke::new(colour, 0.5 * style.hair);
    let radius = (0.22 * pitch).min(0.7 * style.dot);
    scene.dot((x, y.place(mean)), radius, ink, Some(edge));
}
