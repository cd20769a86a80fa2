//! The paper's Figure 1: the fitted law as filled contours over P and S, the measured cells on it.

use super::axis::{self, Direction, Numbers, Tick, decades};
use super::bar::{self, Colours};
use super::contour::Field;
use super::frame::Frame;
use super::page::{Height, Page, Plan, Room, foot, head, head_room, missing};
use super::scale::Log;
use super::scene::{Scene, Stroke};
use super::study::{Fitted, Panel, Panels};
use super::style::Style;

/// Lines of the grid on which a law is evaluated, along each axis.
const SAMPLES: usize = 61;

/// A panel with what must be known before the page is laid out.
struct Map<'p> {
    panel: &'p Panel<'p>,
    /// The law over a frame of side 1.
    surface: Result<Field, String>,
    colours: Colours,
}

pub(super) fn figure(panels: &Panels<'_>, page: &Page) -> Scene {
    let style = &page.style;
    let maps: Vec<Map<'_>> = panels.panels.iter().map(|p| map(panels, p)).collect();
    let colours: Vec<Colours> = maps.iter().map(|map| map.colours.clone()).collect();
    let bar_room = bar::room(style, &colours);
    let rooms = panels.panels.iter().map(|panel| {
        let up = |ends| up(&Log::spanning(&panel.steps(), ends), style);
        axis::room(style, &up)
    });
    let left = rooms.fold(0.0, f64::max);
    let notes = page.notes(&[
        "Surface: the fitted law; dots: measured cells, in the colour of the measured ratio."
            .into(),
    ]);
    let each = Room {
        left,
        right: bar_room + style.small,
        top: head_room(style, 2),
        bottom: axis::depth(style) + 0.6 * style.small,
    };
    let sheet = page.lay(Plan {
        groups: panels.rows,
        lines: 1,
        columns: panels.columns,
        around: Room {
            left: 1.5 * style.label,
            right: 1.3 * style.label,
            bottom: page.foot(&notes),
            top: 0.0,
        },
        each,
        least: (9.0 * style.small, 4.0 * style.small),
        height: Height::Times(1.0),
    });
    let mut scene = page.scene(&sheet);
    for map in &maps {
        let column = map.panel.column;
        let frame = sheet.frame((map.panel.row, 0), column);
        let lines = map.panel.fit.as_ref().map(Fitted::equation);
        let lines = lines.map_or(Vec::new(), |lines| lines.to_vec());
        let sides = (each.left, each.right);
        head(&mut scene, style, frame, map.panel, (&lines, sides));
        paint(&mut scene, page, panels, map, frame);
        if sheet.first(column) {
            axis::name_beside(&mut scene, style, frame, left, "training step S");
        }
        bar::draw(&mut scene, style, &map.colours, frame);
        if sheet.last(column) {
            bar::name(&mut scene, style, frame, bar_room, "compression ratio");
        }
    }
    foot(&mut scene, style, &notes);
    scene
}

fn up(axis: &Log, style: &Style) -> Vec<Tick> {
    decades(axis, style, Numbers::Powers, Direction::Up)
}

fn axes(panels: &Panels<'_>, panel: &Panel<'_>, frame: Frame) -> (Log, Log) {
    (
        Log::spanning(&panels.sizes(panel), (frame.left, frame.right)),
        Log::spanning(&panel.steps(), (frame.bottom, frame.top)),
    )
}

fn map<'p>(panels: &Panels<'_>, panel: &'p Panel<'p>) -> Map<'p> {
    let surface = surface(panels, panel);
    let fitted = surface
        .iter()
        .flat_map(|field| field.values.iter().copied());
    let measured = panel.cells.iter().map(|cell| cell.cr);
    let values: Vec<f64> = fitted.chain(measured).collect();
    Map {
        panel,
        surface,
        colours: Colours::banded(&values),
    }
}

fn surface(panels: &Panels<'_>, panel: &Panel<'_>) -> Result<Field, String> {
    let fitted = panel.fit.as_ref().map_err(Clone::clone)?;
    let unit = Frame::at((0.0, 0.0), (1.0, 1.0));
    let (x, y) = axes(panels, panel, unit);
    let (sizes, steps) = (x.samples(SAMPLES), y.samples(SAMPLES));
    let p: Vec<f64> = steps.iter().flat_map(|_| sizes.iter().copied()).collect();
    let s: Vec<f64> = steps
        .iter()
        .flat_map(|s| sizes.iter().map(|_| *s))
        .collect();
    let values = fitted.at(&p, &s)?;
    if !values.iter().any(|value| value.is_finite()) {
        return Err("the law has no finite ratio here".to_owned());
    }
    Ok(Field {
        x: sizes.iter().map(|p| x.place(*p)).collect(),
        y: steps.iter().map(|s| y.place(*s)).collect(),
        values,
    })
}

fn paint(scene: &mut Scene, page: &Page, panels: &Panels<'_>, map: &Map<'_>, frame: Frame) {
    let style = &page.style;
    let (x, y) = axes(panels, map.panel, frame);
    if panels.sizes(map.panel).is_empty() {
        missing(
            scene,
            style,
            frame,
            &format!("no {} known", panels.size_label()),
        );
    } else {
        match &map.surface {
            Ok(field) => bands(scene, page, field, &map.colours, frame),
            Err(reason) => missing(scene, style, frame, reason),
        }
    }
    for cell in &map.panel.cells {
        let at = (x.place(panels.size(cell)), y.place(cell.step as f64));
        if cell.cr.is_finite() {
            let colour = map.colours.of(cell.cr);
            let edge = Stroke::new(colour.ink(), 0.8 * style.hair);
            scene.dot(at, 1.25 * style.dot, colour, Some(edge));
        }
    }
    scene.outline(frame, style.hairline());
    let across = decades(&x, style, Numbers::Powers, Direction::Across);
    axis::below(scene, style, frame, &across, &panels.size_label());
    axis::beside(scene, style, frame, &up(&y, style));
}

/// Bands are painted from the lowest level up, each over all that is above it.
fn bands(scene: &mut Scene, page: &Page, field: &Field, colours: &Colours, frame: Frame) {
    let Colours::Bands(levels) = colours else {
        return;
    };
    for pair in levels.windows(2) {
        let colour = colours.of(f64::midpoint(pair[0], pair[1]));
        let mut loops = field.above(pair[0]);
        for point in loops.iter_mut().flatten() {
            *point = (
                frame.left + point.0 * frame.width(),
                frame.top + point.1 * frame.height(),
            );
        }
        let edge = Stroke::new(colour.ink(), 0.3 * page.style.hair);
        scene.loops(&loops, colour, edge);
    }
}
