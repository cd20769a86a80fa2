//! Ratios against size and against step, with 95 % intervals and the fitted curves through them.

use cpipe_data::observations::Observation;

use super::canvas::{Anchor, BLACK, Canvas, draw};
use super::color::line;
use super::data::{Panel, Panels, distinct, levels};
use super::law::decimals_of;
use super::scale::{Linear, Log, short};
use crate::error::AnalysisError;

const LEFT: f64 = 72.0;
const TOP: f64 = 36.0;
const WIDTH: f64 = 250.0;
const HEIGHT: f64 = 200.0;
const LEGEND: f64 = 100.0;
const PANEL: (f64, f64) = (LEFT + WIDTH + LEGEND + 14.0, TOP + HEIGHT + 62.0);

/// What stands on the horizontal axis.
#[derive(Clone, Copy, PartialEq)]
enum Against {
    Size,
    Step,
}

/// Two rows for each protocol: against P with a line per step, against S with a line per model.
pub(super) fn figure(panels: &Panels<'_>) -> Result<String, AnalysisError> {
    let size = (
        PANEL.0 * panels.columns as f64,
        PANEL.1 * 2.0 * panels.rows as f64,
    );
    draw("curves", size, |canvas| {
        for panel in &panels.panels {
            for (half, against) in [Against::Size, Against::Step].into_iter().enumerate() {
                let row = (panel.row * 2 + half) as f64;
                let corner = (PANEL.0 * panel.column as f64 + LEFT, PANEL.1 * row + TOP);
                paint(canvas, panels, panel, against, corner)?;
            }
        }
        Ok(())
    })
}

/// The points that one line goes through, and its name.
struct Series<'d> {
    name: String,
    cells: Vec<&'d Observation>,
}

fn series<'d>(panel: &Panel<'d>, against: Against) -> Vec<Series<'d>> {
    match against {
        Against::Size => levels(panel.cells.iter().map(|c| c.step as f64))
            .into_iter()
            .map(|step| Series {
                name: format!("S = {step:.0}"),
                cells: panel
                    .cells
                    .iter()
                    .copied()
                    .filter(|c| c.step as f64 == step)
                    .collect(),
            })
            .collect(),
        Against::Step => distinct(panel.cells.iter().map(|c| c.model.as_str()))
            .into_iter()
            .map(|model| Series {
                name: model.to_owned(),
                cells: panel
                    .cells
                    .iter()
                    .copied()
                    .filter(|c| c.model == model)
                    .collect(),
            })
            .collect(),
    }
}

fn paint(
    canvas: &Canvas<'_>,
    panels: &Panels<'_>,
    panel: &Panel<'_>,
    against: Against,
    (x0, y0): (f64, f64),
) -> Result<(), AnalysisError> {
    let (x1, y1) = (x0 + WIDTH, y0 + HEIGHT);
    let place = |c: &Observation| match against {
        Against::Size => panels.size(c),
        Against::Step => c.step as f64,
    };
    let places = levels(panel.cells.iter().map(|c| place(c)));
    let x = Log::spanning(&places, x0, x1);
    let ratios: Vec<f64> = panel
        .cells
        .iter()
        .flat_map(|c| [c.cr_lo, c.cr, c.cr_hi])
        .collect();
    let y = Linear::spanning(&ratios, y1, y0);
    axes(canvas, panels, against, (&x, &y), &places, (x0, y0, x1, y1))?;
    canvas.text(
        &panel.title,
        (f64::midpoint(x0, x1), y0 - 18.0),
        14.0,
        Anchor::Centre,
        BLACK,
    )?;
    let all = series(panel, against);
    for (i, series) in all.iter().enumerate() {
        let colour = line(i, all.len());
        if let (Some(law), Some(first)) = (panel.law(), series.cells.first()) {
            let curve: Vec<(f64, f64)> = x
                .samples(81)
                .into_iter()
                .map(|at| {
                    let value = match against {
                        Against::Size => law.predict(at, first.step as f64),
                        Against::Step => law.predict(panels.size(first), at),
                    };
                    (x.pixel(at), y.pixel(value))
                })
                .filter(|(_, at)| *at >= y0 && *at <= y1)
                .collect();
            canvas.line(&curve, colour, 2)?;
        }
        for cell in series.cells.iter().filter(|c| c.cr.is_finite()) {
            let at = x.pixel(place(cell));
            canvas.line(
                &[(at, y.pixel(cell.cr_lo)), (at, y.pixel(cell.cr_hi))],
                colour,
                1,
            )?;
            canvas.dot((at, y.pixel(cell.cr)), 3, colour)?;
        }
        let row = y0 + 10.0 + 16.0 * i as f64;
        canvas.line(&[(x1 + 10.0, row), (x1 + 26.0, row)], colour, 2)?;
        canvas.text(&series.name, (x1 + 31.0, row), 10.0, Anchor::Left, BLACK)?;
    }
    Ok(())
}

fn axes(
    canvas: &Canvas<'_>,
    panels: &Panels<'_>,
    against: Against,
    (x, y): (&Log, &Linear),
    places: &[f64],
    (x0, y0, x1, y1): (f64, f64, f64, f64),
) -> Result<(), AnalysisError> {
    canvas.frame((x0, y0), (x1, y1))?;
    for place in places {
        let at = x.pixel(*place);
        canvas.line(&[(at, y1), (at, y1 + 4.0)], BLACK, 1)?;
        let text = match against {
            Against::Size => short(*place),
            Against::Step => format!("{place:.0}"),
        };
        canvas.text(&text, (at, y1 + 13.0), 10.0, Anchor::Centre, BLACK)?;
    }
    let ticks = y.ticks(5);
    let decimals = decimals_of(&ticks);
    for tick in ticks {
        let at = y.pixel(tick);
        canvas.line(&[(x0 - 4.0, at), (x0, at)], BLACK, 1)?;
        canvas.text(
            &format!("{tick:.decimals$}"),
            (x0 - 7.0, at),
            10.0,
            Anchor::Right,
            BLACK,
        )?;
    }
    let label = match against {
        Against::Size => panels.size_label(),
        Against::Step => "training step S",
    };
    canvas.text(
        label,
        (f64::midpoint(x0, x1), y1 + 33.0),
        12.0,
        Anchor::Centre,
        BLACK,
    )?;
    canvas.upright(
        "compression ratio",
        (x0 - 52.0, f64::midpoint(y0, y1)),
        12.0,
    )
}
