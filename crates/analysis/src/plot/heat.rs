//! Annotated heatmaps, models by rows and steps by columns: the measured grid, and the residuals.

use cpipe_data::observations::Observation;

use super::axis::{self, Direction, Tick, thin};
use super::bar::{self, Colours};
use super::font::{fitting, superscript, widest};
use super::frame::Frame;
use super::page::{Height, Page, Plan, Room, Sheet, foot, head, head_room, missing};
use super::scale::step_name;
use super::scene::{Anchor, Scene};
use super::study::{Fitted, Panel, Panels};
use crate::text_table::significant;

/// A panel's numbers, and what they look like.
struct Heat<'p> {
    panel: &'p Panel<'p>,
    /// By cell.
    values: Vec<f64>,
    written: fn(f64, i32) -> String,
    /// Power of ten that the numbers are written in.
    power: i32,
    colours: Colours,
    note: Vec<String>,
    /// What is missing.
    reason: Option<String>,
}

pub(super) fn grid(panels: &Panels<'_>, page: &Page) -> Scene {
    let heat = |panel| {
        let panel: &Panel<'_> = panel;
        let values: Vec<f64> = panel.cells.iter().map(|cell| cell.cr).collect();
        Heat {
            panel,
            colours: Colours::smooth(&values),
            values,
            written: |value, _| format!("{value:.3}"),
            power: 0,
            note: Vec::new(),
            reason: None,
        }
    };
    let heats: Vec<Heat<'_>> = panels.panels.iter().map(heat).collect();
    draw(page, panels, &heats, "compression ratio", &[])
}

pub(super) fn residuals(panels: &Panels<'_>, page: &Page) -> Scene {
    type Found = Result<Vec<f64>, String>;
    let pairs = panels.panels.iter();
    let pairs: Vec<(&Panel<'_>, Found)> = pairs.map(|p| (p, differences(panels, p))).collect();
    let of = |rows: &dyn Fn(usize) -> bool| -> Vec<f64> {
        let pairs = pairs.iter().filter(|(panel, _)| rows(panel.row));
        let values = pairs.flat_map(|(_, found)| found.iter().flatten());
        values.copied().collect()
    };
    let power = power_of(&of(&|_| true));
    let maps: Vec<Colours> = (0..panels.rows)
        .map(|row| Colours::around_zero(&of(&|r| r == row), page.style.dark))
        .collect();
    let heat = |(panel, found): (_, Found)| {
        let panel: &Panel<'_> = panel;
        let fit = panel.fit.as_ref().map(quality);
        Heat {
            panel,
            colours: maps[panel.row].clone(),
            written: signed,
            power,
            note: fit.into_iter().collect(),
            reason: found.as_ref().err().cloned(),
            values: found.unwrap_or_default(),
        }
    };
    let heats: Vec<Heat<'_>> = pairs.into_iter().map(heat).collect();
    let unit = format!("10{}", superscript(&power.to_string()));
    let notes = page.notes(&[format!(
        "Measured minus fitted compression ratio; numbers in units of {unit}, one colour scale for each protocol."
    )]);
    draw(page, panels, &heats, "measured − fitted", &notes)
}

/// Measured minus fitted, by cell.
fn differences(panels: &Panels<'_>, panel: &Panel<'_>) -> Result<Vec<f64>, String> {
    let fitted = panel.fit.as_ref().map_err(Clone::clone)?;
    let ratios = fitted.at_cells(panels, &panel.cells)?;
    let pairs = panel.cells.iter().zip(ratios);
    Ok(pairs.map(|(cell, fitted)| cell.cr - fitted).collect())
}

fn quality(fitted: &Fitted<'_>) -> String {
    let fit = fitted.fit;
    let rmse = significant(fit.rmse);
    format!("{}: RMSE = {rmse}, n = {}", fit.law, fit.n)
}

/// The power of ten, of those with names, in which the greatest number has one to three digits
/// before its point.
fn power_of(values: &[f64]) -> i32 {
    let finite = values.iter().filter(|v| v.is_finite());
    let greatest = finite.fold(0.0, |most: f64, v| most.max(v.abs()));
    if greatest == 0.0 {
        return 0;
    }
    libm::floor(libm::log10(greatest) / 3.0) as i32 * 3
}

fn signed(value: f64, power: i32) -> String {
    let text = format!("{:+.1}", value / libm::pow(10.0, f64::from(power)));
    match text.as_str() {
        "+0.0" | "-0.0" => "0.0".to_owned(),
        _ => text.replace('-', "−"),
    }
}

fn draw(
    page: &Page,
    panels: &Panels<'_>,
    heats: &[Heat<'_>],
    name: &str,
    notes: &[String],
) -> Scene {
    let style = &page.style;
    let rows = heats.iter().map(|h| h.panel.models().len()).max();
    let labels = panels.models();
    // Panels with the same models share their names.
    let shared = heats
        .iter()
        .all(|h| h.panel.models() == heats[0].panel.models());
    let label_room = widest(labels, style.small) + style.small;
    let common = matches!(heats[0].colours, Colours::Diverging(..));
    let maps: Vec<Colours> = heats.iter().map(|h| h.colours.clone()).collect();
    let high = 2.6 * style.small * rows.unwrap_or(1) as f64;
    let bar_room = bar::room(style, &maps);
    let side = |own: bool, room: f64| if own { room } else { 0.0 };
    let sheet = page.lay(Plan {
        groups: panels.rows,
        lines: 1,
        columns: panels.columns,
        around: Room {
            left: side(shared, label_room),
            right: 1.3 * style.label + side(common, bar_room),
            bottom: page.foot(notes),
            top: 0.0,
        },
        each: Room {
            left: side(!shared, label_room),
            right: style.small + side(!common, bar_room),
            top: head_room(style, usize::from(!heats[0].note.is_empty() || common)),
            bottom: axis::depth(style) + 0.6 * style.small,
        },
        least: (12.0 * style.small, high / 2.0),
        height: Height::Points(high),
    });
    let mut scene = page.scene(&sheet);
    for heat in heats {
        let (row, column) = (heat.panel.row, heat.panel.column);
        let frame = sheet.frame((row, 0), column);
        head(
            &mut scene,
            style,
            frame,
            heat.panel,
            (&heat.note, (0.0, 0.0)),
        );
        paint(&mut scene, page, heat, frame);
        if !shared || sheet.first(column) {
            name_rows(&mut scene, page, heat.panel, frame);
        }
        bars(&mut scene, page, (heat, &sheet), frame, (bar_room, name));
    }
    foot(&mut scene, style, notes);
    scene
}

/// A bar beside every panel, or beside every row where all panels have the same colours.
fn bars(
    scene: &mut Scene,
    page: &Page,
    (heat, sheet): (&Heat<'_>, &Sheet),
    frame: Frame,
    (room, name): (f64, &str),
) {
    let common = matches!(heat.colours, Colours::Diverging(..));
    let last = sheet.last(heat.panel.column);
    if last || !common {
        bar::draw(scene, &page.style, &heat.colours, frame);
    }
    if last {
        bar::name(scene, &page.style, frame, room, name);
    }
}

fn paint(scene: &mut Scene, page: &Page, heat: &Heat<'_>, frame: Frame) {
    let style = &page.style;
    let (steps, models) = (heat.panel.steps(), heat.panel.models());
    let cell = (
        frame.width() / steps.len().max(1) as f64,
        frame.height() / models.len().max(1) as f64,
    );
    let texts = heat.values.iter().map(|v| (heat.written)(*v, heat.power));
    let longest: Vec<String> = texts.collect();
    let room = cell.0 - 0.4 * style.small;
    let size = longest
        .iter()
        .fold(style.small, |size, text| fitting(text, size, room));
    let size = size.min(0.9 * cell.1);
    for (observation, value) in heat.panel.cells.iter().zip(&heat.values) {
        let Some((column, row)) = place(observation, &steps, &models) else {
            continue;
        };
        let corner = (
            frame.left + cell.0 * column as f64,
            frame.top + cell.1 * row as f64,
        );
        let tile = Frame::at(corner, cell);
        if !value.is_finite() {
            scene.text("–", tile.middle(), style.small, Anchor::Centre, style.ink);
            continue;
        }
        let colour = heat.colours.of(*value);
        scene.rectangle(tile, colour);
        // Smaller text than this can't be read: the colour says it alone.
        if size >= 0.6 * style.small {
            let text = (heat.written)(*value, heat.power);
            scene.text(&text, tile.middle(), size, Anchor::Centre, colour.ink());
        }
    }
    if let Some(reason) = &heat.reason {
        missing(scene, style, frame, reason);
    }
    scene.outline(frame, style.hairline());
    let tick = |(i, step): (usize, &f64)| Tick {
        at: frame.left + cell.0 * (i as f64 + 0.5),
        label: step_name(*step),
    };
    let mut ticks: Vec<Tick> = steps.iter().enumerate().map(tick).collect();
    thin(&mut ticks, style, Direction::Across);
    axis::below(scene, style, frame, &ticks, "training step S");
}

fn place(cell: &Observation, steps: &[f64], models: &[&str]) -> Option<(usize, usize)> {
    let column = steps.iter().position(|s| *s == cell.step as f64)?;
    let row = models.iter().position(|m| *m == cell.model)?;
    Some((column, row))
}

fn name_rows(scene: &mut Scene, page: &Page, panel: &Panel<'_>, frame: Frame) {
    let style = &page.style;
    let models = panel.models();
    let high = frame.height() / models.len().max(1) as f64;
    let mut ticks: Vec<Tick> = models
        .iter()
        .enumerate()
        .map(|(i, model)| Tick {
            at: frame.top + high * (i as f64 + 0.5),
            label: (*model).to_owned(),
        })
        .collect();
    thin(&mut ticks, style, Direction::Up);
    axis::beside(scene, style, frame, &ticks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_written_in_a_power_that_fits_the_greatest() {
        assert_eq!(power_of(&[0.0123, -0.4, f64::NAN]), -3);
        assert_eq!(power_of(&[1e-5]), -6);
        assert_eq!(power_of(&[]), 0);
        assert_eq!(
            [0.0123, -0.4, 1e-5].map(|v| signed(v, -3)),
            ["+12.3", "−400.0", "0.0"]
        );
    }
}
