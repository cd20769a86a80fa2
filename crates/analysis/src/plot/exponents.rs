//! The exponents of every fit with their intervals: a forest plot over modalities, protocols, ways
//! of counting P, and laws.

use cpipe_data::law_report::{LawFit, LawRefusal, Parameter};

use super::axis::{self, Direction};
use super::font::{fitting, widest};
use super::frame::Frame;
use super::page::{Height, Page, Plan, Room, foot};
use super::scale::Linear;
use super::scene::{Anchor, Scene, Stroke};
use super::study::{Panels, distinct};
use super::style::Style;
use crate::fit::name_of;
use crate::laws::exponents;
use crate::text_table::significant;

/// A fit, or a group of cells without one.
struct Row<'d> {
    /// Modality and protocol.
    group: String,
    /// How P is counted, and the law where there are several.
    name: String,
    /// Its colour: how P is counted.
    class: usize,
    /// How many lines below the top it stands.
    line: f64,
    fit: Result<&'d LawFit, &'d LawRefusal>,
}

struct Forest<'d> {
    rows: Vec<Row<'d>>,
    /// Names of parameters.
    columns: Vec<String>,
    /// Lines that stand above rows: what the rows below are of.
    headings: Vec<(f64, String)>,
    lines: f64,
}

const NOTE: &str = "Dots: best values, hollow at a bound of the search range. Thick lines: 95 % bootstrap \
                    intervals. Thin lines: 95 % profile likelihood, with an arrow where the data set no \
                    end within the search range. Numbers: value and bootstrap interval.";

pub(super) fn figure(panels: &Panels<'_>, page: &Page) -> Scene {
    let style = &page.style;
    let forest = forest(panels);
    let rows = forest.rows.iter();
    let values: Vec<String> = rows
        .flat_map(|row| forest.columns.iter().filter_map(|c| row.parameter(c)))
        .map(stated)
        .collect();
    let value_room = widest(values.iter().map(String::as_str), style.small);
    let notes = page.notes(&[NOTE.to_owned()]);
    let sheet = page.lay(Plan {
        groups: 1,
        lines: 1,
        columns: forest.columns.len().max(1),
        around: Room {
            left: label_room(page, &forest),
            right: 0.0,
            top: 0.0,
            bottom: page.foot(&notes),
        },
        each: Room {
            left: 0.5 * style.small,
            right: value_room + 1.2 * style.small,
            top: 1.6 * style.title,
            bottom: axis::drop(style) + 0.8 * style.small,
        },
        least: (9.0 * style.small, 1.2 * style.small * forest.lines),
        height: Height::Points(1.5 * style.small * forest.lines),
    });
    let mut scene = page.scene(&sheet);
    let nothing = String::new();
    let columns = if forest.columns.is_empty() {
        std::slice::from_ref(&nothing)
    } else {
        &forest.columns
    };
    for (place, column) in columns.iter().enumerate() {
        let frame = sheet.frame((0, 0), place);
        if sheet.first(place) {
            label(&mut scene, page, &forest, frame);
            refusals(&mut scene, page, &forest, frame);
        }
        paint(&mut scene, page, &forest, column, frame);
    }
    foot(&mut scene, style, &notes);
    scene
}

fn forest<'d>(panels: &Panels<'d>) -> Forest<'d> {
    let report = &panels.study.laws;
    let laws = report.fits.iter().map(|f| f.law.as_str());
    let laws = distinct(laws.chain(report.refused.iter().map(|r| r.law.as_str())));
    let several = laws.len() > 1;
    let row = |(group, convention, law): ((&str, &str), _, &str), fit| Row {
        group: format!("{} · {}", group.0, group.1),
        name: if several {
            format!("{}, {law}", name_of(convention))
        } else {
            name_of(convention).to_owned()
        },
        class: convention as usize,
        line: 0.0,
        fit,
    };
    let fits = report.fits.iter().map(|f| {
        let group = (f.modality.as_str(), f.protocol.as_str());
        row((group, f.convention, &f.law), Ok(f))
    });
    let refused = report.refused.iter().map(|r| {
        let group = (r.modality.as_str(), r.protocol.as_str());
        row((group, r.convention, &r.law), Err(r))
    });
    let mut rows: Vec<Row<'d>> = fits.chain(refused).collect();
    let groups: Vec<String> = distinct(rows.iter().map(|r| r.group.as_str()))
        .into_iter()
        .map(str::to_owned)
        .collect();
    rows.sort_by_key(|row| {
        let group = groups.iter().position(|group| *group == row.group);
        (group, laws.iter().position(|law| *law == row.law()))
    });
    let mut columns: Vec<String> = Vec::new();
    for name in report.fits.iter().flat_map(|f| exponents(&f.formula)) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let (headings, lines) = headed(&mut rows, groups.len());
    Forest {
        rows,
        columns,
        headings,
        lines,
    }
}

/// Gives every row its line, with a heading above each group unless all groups have one row.
fn headed(rows: &mut [Row<'_>], groups: usize) -> (Vec<(f64, String)>, f64) {
    let single = rows.len() == groups;
    let mut headings: Vec<(f64, String)> = Vec::new();
    let mut line = 0.75;
    let mut last = String::new();
    for row in rows {
        if single {
            row.name = format!("{}, {}", row.group, row.name);
        } else if row.group != last {
            line += if last.is_empty() { 0.0 } else { 0.3 };
            headings.push((line, row.group.clone()));
            line += 1.0;
            last.clone_from(&row.group);
        }
        row.line = line;
        line += 1.0;
    }
    (headings, line.max(3.0) - 0.25)
}

impl<'d> Row<'d> {
    fn law(&self) -> &'d str {
        match self.fit {
            Ok(fit) => &fit.law,
            Err(refusal) => &refusal.law,
        }
    }

    fn parameter(&self, name: &str) -> Option<&'d Parameter> {
        self.fit.ok()?.parameters.iter().find(|p| p.name == name)
    }
}

fn stated(parameter: &Parameter) -> String {
    let Parameter { value, lo, hi, .. } = parameter;
    let [value, lo, hi] = [value, lo, hi].map(|v| significant(*v));
    format!("{value} [{lo}, {hi}]")
}

/// Room for the names of rows and groups.
fn label_room(page: &Page, forest: &Forest<'_>) -> f64 {
    let small = page.style.small;
    let names = forest.rows.iter().map(|row| row.name.as_str());
    let names = widest(names, small) + small;
    let headings = forest.headings.iter().map(|(_, text)| text.as_str());
    names.max(widest(headings, small)) + 0.8 * small
}

/// Where a line of the forest stands.
fn at(frame: Frame, forest: &Forest<'_>, line: f64) -> f64 {
    frame.top + frame.height() * line / forest.lines
}

fn label(scene: &mut Scene, page: &Page, forest: &Forest<'_>, frame: Frame) {
    let style = &page.style;
    let left = frame.left - 0.5 * style.small - label_room(page, forest);
    for (line, text) in &forest.headings {
        let at = (left, at(frame, forest, *line));
        scene.text(text, at, style.small, Anchor::Left, style.ink);
    }
    let indent = if forest.headings.is_empty() {
        0.0
    } else {
        style.small
    };
    for row in &forest.rows {
        let at = (left + indent, at(frame, forest, row.line));
        scene.text(&row.name, at, style.small, Anchor::Left, style.ink);
    }
}

/// Says in the place of its numbers why a row has none.
fn refusals(scene: &mut Scene, page: &Page, forest: &Forest<'_>, frame: Frame) {
    let style = &page.style;
    let right = scene.size.0 - style.margin();
    let left = frame.left + 0.5 * style.small;
    for row in &forest.rows {
        let Err(refusal) = row.fit else { continue };
        let text = format!("no fit: {}", refusal.reason);
        let size = fitting(&text, style.small, right - left);
        let at = (left, at(frame, forest, row.line));
        scene.text(&text, at, size, Anchor::Left, style.ink);
    }
    if forest.rows.is_empty() {
        let at = (left, frame.bottom - style.small);
        let text = "there is no fitted exponent";
        scene.text(text, at, style.small, Anchor::Left, style.ink);
    }
}

/// The axis: from 0, or what is below, as far as needed, but not so far that values can't be told apart.
fn scale(forest: &Forest<'_>, column: &str, frame: Frame) -> Linear {
    let found: Vec<&Parameter> = forest
        .rows
        .iter()
        .filter_map(|r| r.parameter(column))
        .collect();
    let values: Vec<f64> = found.iter().map(|p| p.value).collect();
    let greatest = values.iter().copied().fold(0.0, f64::max);
    let ends = found.iter().flat_map(|p| {
        let profile = [p.profile_lo, p.profile_hi].map(|end| end.unwrap_or(p.value));
        [p.lo, p.hi, profile[0], profile[1]]
    });
    let far = if greatest > 0.0 { 6.0 * greatest } else { 1.0 };
    let (least, most) = ends
        .filter(|v| v.is_finite())
        .fold((0.0_f64, 0.0_f64), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    let most = if most > 0.0 { most.min(far) } else { far };
    let margin = 0.03 * (most - least);
    let low = if least < 0.0 { least - margin } else { 0.0 };
    Linear::between((low.max(-far), most + margin), (frame.left, frame.right))
}

fn paint(scene: &mut Scene, page: &Page, forest: &Forest<'_>, column: &str, frame: Frame) {
    let style = &page.style;
    let axis = scale(forest, column, frame);
    let ticks = axis::round(&axis, style, Direction::Across);
    if !column.is_empty() {
        for tick in &ticks {
            scene.line(
                &[(tick.at, frame.top), (tick.at, frame.bottom)],
                style.guide(),
            );
        }
        let title = (frame.middle().0, frame.top - 0.8 * style.title);
        scene.text(
            &greek(column),
            title,
            style.title,
            Anchor::Centre,
            style.ink,
        );
        axis::below(scene, style, frame, &ticks, "");
    }
    for row in &forest.rows {
        let Some(parameter) = row.parameter(column) else {
            continue;
        };
        let y = at(frame, forest, row.line);
        mark(scene, page, (parameter, row.class), (frame, y), &axis);
        let text = (frame.right + 0.7 * style.small, y);
        scene.text(
            &stated(parameter),
            text,
            style.small,
            Anchor::Left,
            style.ink,
        );
    }
    scene.outline(frame, style.hairline());
}

/// An interval's lines and the value's dot.
fn mark(
    scene: &mut Scene,
    page: &Page,
    (parameter, class): (&Parameter, usize),
    (frame, y): (Frame, f64),
    axis: &Linear,
) {
    let style = &page.style;
    let colour = style.class(class);
    let place = |value: f64| axis.place(value).clamp(frame.left, frame.right);
    let thin = Stroke::new(colour, 1.4 * style.hair);
    let ends = [
        (parameter.profile_lo, frame.left, 1.0),
        (parameter.profile_hi, frame.right, -1.0),
    ];
    let profile = ends.map(|(known, edge, _)| (known.map_or(edge, place), y));
    scene.line(&profile, thin);
    let bar = [(place(parameter.lo), y), (place(parameter.hi), y)];
    scene.line(&bar, Stroke::new(colour, 1.7 * style.curve));
    for (known, edge, inwards) in ends {
        end(
            scene,
            style,
            (known.map(|v| axis.place(v)), edge, inwards),
            y,
            thin,
        );
    }
    let (fill, edge) = if parameter.at_bound {
        (style.background, Stroke::new(colour, style.curve))
    } else {
        (colour, Stroke::new(style.background, 0.6 * style.hair))
    };
    scene.dot(
        (place(parameter.value), y),
        1.25 * style.dot,
        fill,
        Some(edge),
    );
}

/// The end of a profile interval: a cap where it is known and in sight, an arrow where there is none.
fn end(
    scene: &mut Scene,
    style: &Style,
    (known, edge, inwards): (Option<f64>, f64, f64),
    y: f64,
    stroke: Stroke,
) {
    let half = 0.3 * style.small;
    match known {
        Some(at) if (edge - at) * inwards <= 0.0 => {
            scene.line(&[(at, y - 0.8 * half), (at, y + 0.8 * half)], stroke);
        }
        Some(_) => {}
        None => {
            let back = edge + inwards * 1.5 * half;
            let arrow = [(back, y - half), (edge, y), (back, y + half)];
            scene.polygon(&arrow, stroke.colour, 1.0);
        }
    }
}

/// α for `alpha`, `α_P` for `alpha_P`.
fn greek(name: &str) -> String {
    const LETTERS: [(&str, char); 4] = [
        ("alpha", 'α'),
        ("beta", 'β'),
        ("gamma", 'γ'),
        ("delta", 'δ'),
    ];
    let (word, rest) = name
        .split_once('_')
        .map_or((name, ""), |(w, _)| (w, &name[w.len()..]));
    let letter = LETTERS.iter().find(|(spelt, _)| *spelt == word);
    letter.map_or(name.to_owned(), |(_, letter)| format!("{letter}{rest}"))
}
