//! The measured grid: an annotated heatmap of mean ratios, models by rows and steps by columns.

use super::canvas::{Anchor, BLACK, Canvas, draw};
use super::color::{ink_on, viridis};
use super::data::{Panel, Panels, distinct, levels};
use super::law::colour_bar;
use super::scale::extent;
use crate::error::AnalysisError;

const LEFT: f64 = 104.0;
const TOP: f64 = 40.0;
const CELL: (f64, f64) = (56.0, 34.0);
const RIGHT: f64 = 92.0;
const BOTTOM: f64 = 56.0;

pub(super) fn figure(panels: &Panels<'_>) -> Result<String, AnalysisError> {
    let most =
        |count: fn(&Panel<'_>) -> usize| panels.panels.iter().map(count).max().unwrap_or(1) as f64;
    let columns = most(|p| levels(p.cells.iter().map(|c| c.step as f64)).len());
    let rows = most(|p| distinct(p.cells.iter().map(|c| c.model.as_str())).len());
    let panel = (
        LEFT + CELL.0 * columns + RIGHT,
        TOP + CELL.1 * rows + BOTTOM,
    );
    let size = (
        panel.0 * panels.columns as f64,
        panel.1 * panels.rows as f64,
    );
    draw("grid", size, |canvas| {
        for p in &panels.panels {
            let corner = (
                panel.0 * p.column as f64 + LEFT,
                panel.1 * p.row as f64 + TOP,
            );
            paint(canvas, p, corner)?;
        }
        Ok(())
    })
}

fn paint(
    canvas: &Canvas<'_>,
    panel: &Panel<'_>,
    (x0, y0): (f64, f64),
) -> Result<(), AnalysisError> {
    let steps = levels(panel.cells.iter().map(|c| c.step as f64));
    let models = distinct(panel.cells.iter().map(|c| c.model.as_str()));
    let values: Vec<f64> = panel.cells.iter().map(|c| c.cr).collect();
    let (least, greatest) = extent(&values);
    let (x1, y1) = (
        x0 + CELL.0 * steps.len() as f64,
        y0 + CELL.1 * models.len() as f64,
    );
    canvas.text(
        &panel.title,
        (f64::midpoint(x0, x1), y0 - 20.0),
        15.0,
        Anchor::Centre,
        BLACK,
    )?;
    for cell in &panel.cells {
        let row = models.iter().position(|m| *m == cell.model);
        let column = steps.iter().position(|s| *s == cell.step as f64);
        let (Some(row), Some(column)) = (row, column) else {
            continue;
        };
        let from = (x0 + CELL.0 * column as f64, y0 + CELL.1 * row as f64);
        let to = (from.0 + CELL.0, from.1 + CELL.1);
        let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
        if cell.cr.is_finite() {
            let colour = viridis((cell.cr - least) / (greatest - least));
            canvas.rectangle(from, to, colour)?;
            canvas.text(
                &format!("{:.4}", cell.cr),
                middle,
                11.0,
                Anchor::Centre,
                ink_on(colour),
            )?;
        } else {
            canvas.text("–", middle, 11.0, Anchor::Centre, BLACK)?;
        }
    }
    canvas.frame((x0, y0), (x1, y1))?;
    for (row, model) in models.iter().enumerate() {
        let at = y0 + CELL.1 * (row as f64 + 0.5);
        canvas.text(model, (x0 - 8.0, at), 11.0, Anchor::Right, BLACK)?;
    }
    for (column, step) in steps.iter().enumerate() {
        let at = x0 + CELL.0 * (column as f64 + 0.5);
        canvas.text(
            &format!("{step:.0}"),
            (at, y1 + 12.0),
            11.0,
            Anchor::Centre,
            BLACK,
        )?;
    }
    canvas.text(
        "training step S",
        (f64::midpoint(x0, x1), y1 + 32.0),
        12.0,
        Anchor::Centre,
        BLACK,
    )?;
    colour_bar(canvas, (x1 + 14.0, y0, y1), (least, greatest))
}
