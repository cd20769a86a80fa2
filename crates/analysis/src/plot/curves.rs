//! Ratios against size and against step: points with their intervals, the law through them, and the
//! band of its bootstrap refits.

use cpipe_data::observations::Observation;

use super::axis::{self, Direction, Numbers, decades};
use super::baselines;
use super::frame::Frame;
use super::legend;
use super::page::{Height, Page, Plan, foot, head, missing};
use super::scale::{Linear, Log, step_name};
use super::scene::{Point, Scene, Stroke};
use super::study::{Panel, Panels};
use crate::bootstrap::interval;

/// What stands on the horizontal axis.
#[derive(Clone, Copy, PartialEq)]
enum Against {
    Size,
    Step,
}

/// Points at which a curve is evaluated.
const SAMPLES: usize = 41;

/// The cells that one line goes through.
struct Series<'d> {
    /// Its place in the legend.
    index: usize,
    cells: Vec<&'d Observation>,
}

/// A law along a series: the optimum, and the interval of the refits.
struct Curve {
    line: Vec<Point>,
    low: Vec<Point>,
    high: Vec<Point>,
}

/// Two rows for each protocol: against P with a line per step, against S with a line per model.
pub(super) fn figure(panels: &Panels<'_>, page: &Page) -> Scene {
    let style = &page.style;
    let names = [Against::Size, Against::Step].map(|against| names(panels, against));
    let legends = names
        .each_ref()
        .map(|names| legend::room(style, &TITLES, names));
    let rooms = panels.panels.iter().map(|panel| {
        let ratios = ratios(panels, panel);
        let up = |ends| axis::round(&Linear::spanning(&ratios, ends), style, Direction::Up);
        axis::room(style, &up)
    });
    let left = rooms.fold(0.0, f64::max);
    let notes = page.notes(&notes(panels));
    let legend = legends[0].max(legends[1]);
    let rooms = (left, legend, page.foot(&notes));
    let sheet = page.lay(Plan {
        lines: 2,
        height: Height::Times(0.8),
        ..Plan::charts(style, panels, rooms, usize::from(compared(panels)))
    });
    let mut scene = page.scene(&sheet);
    for panel in &panels.panels {
        for (line, against) in [Against::Size, Against::Step].into_iter().enumerate() {
            let frame = sheet.frame((panel.row, line), panel.column);
            let best = baselines::best(panels.study, panel).map(baselines::told);
            let lines = compared(panels).then(|| best.unwrap_or_default());
            let lines: Vec<String> = lines.into_iter().collect();
            head(&mut scene, style, frame, panel, (&lines, (0.0, 0.0)));
            paint(
                &mut scene,
                page,
                (panels, panel, against),
                frame,
                names[line].len(),
            );
            if sheet.first(panel.column) {
                axis::name_beside(&mut scene, style, frame, left, "compression ratio");
            }
            if sheet.last(panel.column) {
                legend::draw(&mut scene, style, frame, TITLES[line], &names[line]);
            }
        }
    }
    foot(&mut scene, style, &notes);
    scene
}

const TITLES: [&str; 2] = ["step S", "model"];

fn names(panels: &Panels<'_>, against: Against) -> Vec<String> {
    match against {
        Against::Size => panels.steps().into_iter().map(step_name).collect(),
        Against::Step => panels.models().into_iter().map(str::to_owned).collect(),
    }
}

fn notes(panels: &Panels<'_>) -> Vec<String> {
    let mut notes = "Lines: the fitted law.".to_owned();
    let bands = panels.panels.iter().flat_map(|p| &p.fit);
    if bands.clone().any(|fit| !fit.refits.is_empty()) {
        notes += " Bands: 95 % of its bootstrap refits.";
    } else if bands.count() > 0 {
        notes += " No bands: the stage was given no refits (draws.parquet).";
    }
    if panels.study.cells.iter().any(|c| c.cr_hi > c.cr_lo) {
        notes += " Bars: 95 % bootstrap intervals over chunks, set side by side so that they can be told apart.";
    }
    if compared(panels) {
        notes +=
            " Dashed: the best classical compressor, where the protocol scores all of a chunk.";
    }
    vec![notes]
}

/// Whether any panel has a classical compressor beside the models.
fn compared(panels: &Panels<'_>) -> bool {
    let mut all = panels.panels.iter();
    all.any(|panel| baselines::best(panels.study, panel).is_some())
}

fn series<'d>(panels: &Panels<'d>, panel: &Panel<'d>, against: Against) -> Vec<Series<'d>> {
    let of = |index: usize, belongs: &dyn Fn(&Observation) -> bool| Series {
        index,
        cells: panel.cells.iter().copied().filter(|c| belongs(c)).collect(),
    };
    let all: Vec<Series<'_>> = match against {
        Against::Size => {
            let steps = panels.steps().into_iter().enumerate();
            steps
                .map(|(i, step)| of(i, &|c| c.step as f64 == step))
                .collect()
        }
        Against::Step => {
            let models = panels.models().into_iter().enumerate();
            models
                .map(|(i, model)| of(i, &|c| c.model == model))
                .collect()
        }
    };
    all.into_iter().filter(|s| !s.cells.is_empty()).collect()
}

fn paint(
    scene: &mut Scene,
    page: &Page,
    (panels, panel, against): (&Panels<'_>, &Panel<'_>, Against),
    frame: Frame,
    count: usize,
) {
    let style = &page.style;
    let place = |cell: &Observation| match against {
        Against::Size => panels.size(cell),
        Against::Step => cell.step as f64,
    };
    let places: Vec<f64> = panel.cells.iter().map(|c| place(c)).collect();
    let x = Log::spanning(&places, (frame.left, frame.right));
    let y = Linear::spanning(&ratios(panels, panel), (frame.bottom, frame.top));
    let all = series(panels, panel, against);
    let curves = all
        .iter()
        .map(|s| curve(panels, panel, (against, s), (&x, &y)));
    let curves: Vec<Result<Curve, String>> = curves.collect();
    if let Some(best) = baselines::best(panels.study, panel) {
        baselines::draw(scene, style, frame, &y, best);
    }
    for (series, curve) in all.iter().zip(&curves) {
        if let Ok(curve) = curve {
            let colour = style.ordered(series.index, count);
            let clamp = |p: &Point| (p.0, frame.clamp_y(p.1));
            let band = curve.low.iter().chain(curve.high.iter().rev()).map(clamp);
            scene.polygon(&band.collect::<Vec<_>>(), colour, 0.2);
        }
    }
    for (series, curve) in all.iter().zip(&curves) {
        let colour = style.ordered(series.index, count);
        if let Ok(curve) = curve {
            for piece in frame.pieces(&curve.line) {
                scene.line(&piece, Stroke::new(colour, style.curve));
            }
        }
        let aside = dodge(page, panel, (series.index, count));
        for cell in series.cells.iter().filter(|c| c.cr.is_finite()) {
            let at = x.place(place(cell)) + aside;
            let bar = [(at, y.place(cell.cr_lo)), (at, y.place(cell.cr_hi))];
            scene.line(&bar, Stroke::new(colour, 1.3 * style.hair));
            let edge = Stroke::new(style.background, 0.6 * style.hair);
            scene.dot((at, y.place(cell.cr)), style.dot, colour, Some(edge));
        }
    }
    if !places.iter().any(|p| *p > 0.0) {
        missing(
            scene,
            style,
            frame,
            "nothing to draw against: no number above 0",
        );
    } else if let Some(Err(reason)) = curves.first() {
        let low = Frame {
            top: frame.middle().1,
            ..frame
        };
        missing(scene, style, low, reason);
    }
    finish(scene, page, (panels, against), frame, (&x, &y));
}

/// Measured ratios with the ends of their intervals, and the fitted ones.
fn ratios(panels: &Panels<'_>, panel: &Panel<'_>) -> Vec<f64> {
    let cells = panel.cells.iter();
    let measured = cells.flat_map(|c| [c.cr_lo, c.cr, c.cr_hi]);
    let fitted = panel.fit.as_ref().ok();
    let fitted = fitted.and_then(|fit| fit.at_cells(panels, &panel.cells).ok());
    let best = baselines::best(panels.study, panel).map(|best| best.ratio);
    let all = measured.chain(fitted.into_iter().flatten()).chain(best);
    all.collect()
}

/// How far a series stands to the side, so that intervals at one place can be told apart.
fn dodge(page: &Page, panel: &Panel<'_>, (index, count): (usize, usize)) -> f64 {
    if panel.cells.iter().all(|c| c.cr_lo.is_nan()) {
        return 0.0;
    }
    let step = (6.0 / count.max(1) as f64).min(1.0) * 1.1 * page.style.dot;
    (index as f64 - (count as f64 - 1.0) / 2.0) * step
}

fn finish(
    scene: &mut Scene,
    page: &Page,
    (panels, against): (&Panels<'_>, Against),
    frame: Frame,
    (x, y): (&Log, &Linear),
) {
    let style = &page.style;
    scene.outline(frame, style.hairline());
    let across = decades(x, style, Numbers::Powers, Direction::Across);
    let name = match against {
        Against::Size => panels.size_label(),
        Against::Step => "training step S".to_owned(),
    };
    axis::below(scene, style, frame, &across, &name);
    axis::beside(scene, style, frame, &axis::round(y, style, Direction::Up));
}

fn curve(
    panels: &Panels<'_>,
    panel: &Panel<'_>,
    (against, series): (Against, &Series<'_>),
    (x, y): (&Log, &Linear),
) -> Result<Curve, String> {
    let fitted = panel.fit.as_ref().map_err(Clone::clone)?;
    let along = x.samples(SAMPLES);
    let first = series.cells[0];
    let (p, s): (Vec<f64>, Vec<f64>) = match against {
        Against::Size => along.iter().map(|at| (*at, first.step as f64)).unzip(),
        Against::Step => along.iter().map(|at| (panels.size(first), *at)).unzip(),
    };
    let at = |values: Vec<f64>| -> Vec<Point> {
        let pairs = along.iter().zip(values);
        pairs.map(|(at, v)| (x.place(*at), y.place(v))).collect()
    };
    let refits = fitted.refits_at(&p, &s)?;
    let ends = |i: usize| interval(refits.iter().map(|refit| refit[i]).collect());
    let (low, high): (Vec<f64>, Vec<f64>) = if refits.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        (0..SAMPLES).map(ends).unzip()
    };
    Ok(Curve {
        line: at(fitted.at(&p, &s)?),
        low: at(low),
        high: at(high),
    })
}
