//! The paper's Figure 1: the fitted law as filled contours over P and S, the measured points on it.

use super::canvas::{Anchor, BLACK, Canvas, GREY, draw};
use super::color::viridis;
use super::data::{Panel, Panels, levels};
use super::scale::{Linear, Log, extent, short};
use crate::error::AnalysisError;
use crate::fit::LawFit;

const PANEL: (f64, f64) = (400.0, 340.0);
const LEFT: f64 = 66.0;
const TOP: f64 = 52.0;
const WIDTH: f64 = 230.0;
const HEIGHT: f64 = 230.0;
const BANDS: usize = 14;
const SAMPLES: usize = 161;

pub(super) fn figure(panels: &Panels<'_>) -> Result<String, AnalysisError> {
    let size = (
        PANEL.0 * panels.columns as f64,
        PANEL.1 * panels.rows as f64,
    );
    draw("law", size, |canvas| {
        for panel in &panels.panels {
            paint(canvas, panels, panel)?;
        }
        Ok(())
    })
}

fn paint(canvas: &Canvas<'_>, panels: &Panels<'_>, panel: &Panel<'_>) -> Result<(), AnalysisError> {
    let (x0, y0) = (
        PANEL.0 * panel.column as f64 + LEFT,
        PANEL.1 * panel.row as f64 + TOP,
    );
    let (x1, y1) = (x0 + WIDTH, y0 + HEIGHT);
    let sizes = levels(panel.cells.iter().map(|c| panels.size(c)));
    let steps = levels(panel.cells.iter().map(|c| c.step as f64));
    let (x, y) = (Log::spanning(&sizes, x0, x1), Log::spanning(&steps, y1, y0));
    let centre = f64::midpoint(x0, x1);
    canvas.text(
        &panel.title,
        (centre + 20.0, y0 - 36.0),
        15.0,
        Anchor::Centre,
        BLACK,
    )?;
    canvas.text(
        &panel.equation(),
        (centre + 20.0, y0 - 14.0),
        11.5,
        Anchor::Centre,
        BLACK,
    )?;
    if let Some(law) = panel.law() {
        bands(canvas, &law, (&x, &y), (x0, y0, x1, y1))?;
    }
    for cell in &panel.cells {
        let at = (x.pixel(panels.size(cell)), y.pixel(cell.step as f64));
        if at.0.is_finite() && at.1.is_finite() {
            canvas.dot(at, 4, viridis_outline())?;
            canvas.dot(at, 3, BLACK)?;
        }
    }
    canvas.frame((x0, y0), (x1, y1))?;
    for size in &sizes {
        let at = x.pixel(*size);
        canvas.line(&[(at, y1), (at, y1 + 4.0)], BLACK, 1)?;
        canvas.text(&short(*size), (at, y1 + 13.0), 10.0, Anchor::Centre, BLACK)?;
    }
    for step in &steps {
        let at = y.pixel(*step);
        canvas.line(&[(x0 - 4.0, at), (x0, at)], BLACK, 1)?;
        canvas.text(
            &format!("{step:.0}"),
            (x0 - 7.0, at),
            10.0,
            Anchor::Right,
            BLACK,
        )?;
    }
    canvas.text(
        panels.size_label(),
        (centre, y1 + 34.0),
        12.0,
        Anchor::Centre,
        BLACK,
    )?;
    canvas.upright("training step S", (x0 - 50.0, f64::midpoint(y0, y1)), 12.0)
}

fn viridis_outline() -> plotters::style::RGBColor {
    plotters::style::RGBColor(255, 255, 255)
}

/// Filled contours: since the law falls in P and in S, {CR ≤ level} is everything above a curve
/// S(P) that is known exactly, so bands are painted from the highest level down.
fn bands(
    canvas: &Canvas<'_>,
    law: &LawFit,
    (x, y): (&Log, &Log),
    (x0, y0, x1, y1): (f64, f64, f64, f64),
) -> Result<(), AnalysisError> {
    let ((p_low, p_high), (s_low, s_high)) = (x.ends(), y.ends());
    let (least, greatest) = extent(&[law.predict(p_low, s_low), law.predict(p_high, s_high)]);
    let level = |i: usize| least + (greatest - least) * i as f64 / BANDS as f64;
    canvas.rectangle((x0, y0), (x1, y1), viridis(1.0))?;
    for band in (1..BANDS).rev() {
        let mut edge: Vec<(f64, f64)> = x
            .samples(SAMPLES)
            .into_iter()
            .map(|p| {
                let s = step_at(law, p, level(band));
                let at = if s > s_high {
                    y0
                } else if s < s_low {
                    y1
                } else {
                    y.pixel(s)
                };
                (x.pixel(p), at)
            })
            .collect();
        let line: Vec<(f64, f64)> = edge
            .iter()
            .copied()
            .filter(|(_, at)| *at > y0 && *at < y1)
            .collect();
        edge.extend([(x1, y0), (x0, y0)]);
        canvas.polygon(&edge, viridis((band - 1) as f64 / (BANDS - 1) as f64))?;
        if line.len() > 1 {
            canvas.line(&line, GREY, 1)?;
        }
    }
    colour_bar(canvas, (x1 + 16.0, y0, y1), (least, greatest))
}

/// The step at which the law comes down to `level` for models of size `p`; infinite if it never does.
fn step_at(law: &LawFit, p: f64, level: f64) -> f64 {
    let rest = level - law.a - law.b * libm::pow(p, -law.alpha);
    if rest <= 0.0 {
        return f64::INFINITY;
    }
    if law.c == 0.0 {
        return 0.0;
    }
    libm::pow(rest / law.c, -1.0 / law.beta)
}

/// A bar of the map's colours with its scale, `bands` or smooth alike.
pub(super) fn colour_bar(
    canvas: &Canvas<'_>,
    (x, top, bottom): (f64, f64, f64),
    (least, greatest): (f64, f64),
) -> Result<(), AnalysisError> {
    let axis = Linear::between(least, greatest, bottom, top);
    let parts = 60;
    for i in 0..parts {
        let part = |j: usize| bottom + (top - bottom) * j as f64 / f64::from(parts as u32);
        canvas.rectangle(
            (x, part(i + 1)),
            (x + 14.0, part(i) + 1.0),
            viridis(i as f64 / f64::from(parts as u32 - 1)),
        )?;
    }
    canvas.frame((x, top), (x + 14.0, bottom))?;
    let ticks = axis.ticks(6);
    let decimals = decimals_of(&ticks);
    for tick in ticks {
        let at = axis.pixel(tick);
        canvas.line(&[(x + 14.0, at), (x + 18.0, at)], BLACK, 1)?;
        canvas.text(
            &format!("{tick:.decimals$}"),
            (x + 21.0, at),
            10.0,
            Anchor::Left,
            BLACK,
        )?;
    }
    canvas.upright(
        "compression ratio",
        (x + 60.0, f64::midpoint(top, bottom)),
        11.0,
    )
}

/// Decimals that tell neighbouring ticks apart.
pub(super) fn decimals_of(ticks: &[f64]) -> usize {
    let step = match ticks {
        [first, second, ..] => second - first,
        _ => 0.01,
    };
    (-libm::floor(libm::log10(step) + 1e-9)).clamp(0.0, 6.0) as usize
}
