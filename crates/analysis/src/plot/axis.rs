//! Ticks and their labels.

use super::canvas::{Anchor, BLACK, Canvas, Drawn, Frame};
use super::scale::{Linear, Log, decimals_of, short};
use super::style::{HAIR, TICK, TICK_LENGTH};
use super::text::{superscript, widest, width};

/// A mark on an axis, with a label unless that is empty.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Clear space between two labels.
const GAP: f64 = 7.0;
/// From the frame to the labels.
pub(super) const LABEL_GAP: f64 = TICK_LENGTH + 4.0;
/// Below the frame, down to the middle of the labels.
pub(super) const LABEL_DROP: f64 = TICK_LENGTH + 10.0;

/// Powers of ten with minor ticks between; where fewer than two are in sight, some of their multiples
/// are labelled too, and where there are none the values themselves.
pub(super) fn decades(axis: &Log, values: &[f64]) -> Vec<Tick> {
    let (low, high) = axis.ends();
    let exponents = libm::floor(libm::log10(low)) as i32..=libm::floor(libm::log10(high)) as i32;
    let mut found: Vec<(u32, Tick)> = Vec::new();
    for exponent in exponents {
        for multiple in 1..10 {
            let value = f64::from(multiple) * libm::pow(10.0, f64::from(exponent));
            if (low..=high).contains(&value) {
                let label = power(multiple, exponent);
                let at = axis.pixel(value);
                found.push((multiple, Tick { at, label }));
            }
        }
    }
    if found.is_empty() {
        return measured(axis, values, Direction::Across);
    }
    keep_labels(&mut found);
    found.into_iter().map(|(_, tick)| tick).collect()
}

fn power(multiple: u32, exponent: i32) -> String {
    let ten = format!("10{}", superscript(&exponent.to_string()));
    match multiple {
        1 => ten,
        multiple => format!("{multiple}×{ten}"),
    }
}

/// Clears labels but those of the roundest multiples, until two are left or none is left to try.
fn keep_labels(found: &mut [(u32, Tick)]) {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (round, multiples) in [&[1][..], &[3], &[2, 5], &[4, 6, 7, 8, 9]]
        .iter()
        .enumerate()
    {
        let enough = round > 0 && kept.len() >= 2;
        for (multiple, tick) in found.iter_mut().filter(|(m, _)| multiples.contains(m)) {
            debug_assert!((1..10).contains(multiple));
            let half = width(&tick.label, TICK) / 2.0 + GAP / 2.0;
            let room = kept
                .iter()
                .all(|(at, other)| (tick.at - at).abs() >= half + other);
            if enough || !room {
                tick.label.clear();
            } else {
                kept.push((tick.at, half));
            }
        }
    }
}

/// Which way an axis runs.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Across,
    Up,
}

/// A tick at every value, labelled where there is room.
pub(super) fn measured(axis: &Log, values: &[f64], direction: Direction) -> Vec<Tick> {
    let mut last: Option<(f64, f64)> = None;
    let mut ticks = Vec::new();
    for value in values {
        let at = axis.pixel(*value);
        let mut label = short(*value);
        let half = match direction {
            Direction::Across => (width(&label, TICK) + GAP) / 2.0,
            Direction::Up => TICK * 0.6,
        };
        if last.is_none_or(|(other, room)| (at - other).abs() >= half + room) {
            last = Some((at, half));
        } else {
            label.clear();
        }
        ticks.push(Tick { at, label });
    }
    ticks
}

/// About `count` round numbers.
pub(super) fn round(axis: &Linear, count: usize) -> Vec<Tick> {
    let values = axis.ticks(count);
    let decimals = decimals_of(&values);
    values
        .into_iter()
        .map(|value| Tick {
            at: axis.pixel(value),
            label: format!("{value:.decimals$}"),
        })
        .collect()
}

/// Ticks below a frame.
pub(super) fn below(canvas: &Canvas<'_>, frame: Frame, ticks: &[Tick]) -> Drawn {
    for tick in ticks {
        let end = frame.bottom + length(tick);
        canvas.line(&[(tick.at, frame.bottom), (tick.at, end)], BLACK, HAIR)?;
        let at = (tick.at, frame.bottom + LABEL_DROP);
        label(canvas, tick, at, Anchor::Centre)?;
    }
    Ok(())
}

/// Ticks to the left of a frame, with labels if wanted.
pub(super) fn beside(canvas: &Canvas<'_>, frame: Frame, ticks: &[Tick], labels: bool) -> Drawn {
    for tick in ticks {
        let end = frame.left - length(tick);
        canvas.line(&[(frame.left, tick.at), (end, tick.at)], BLACK, HAIR)?;
        if labels {
            let at = (frame.left - LABEL_GAP, tick.at);
            label(canvas, tick, at, Anchor::Right)?;
        }
    }
    Ok(())
}

/// Room that the labels of a vertical axis take, with their gap.
pub(super) fn room(ticks: &[Tick]) -> f64 {
    LABEL_GAP + widest(ticks.iter().map(|tick| tick.label.as_str()), TICK)
}

fn length(tick: &Tick) -> f64 {
    if tick.label.is_empty() {
        TICK_LENGTH * 0.6
    } else {
        TICK_LENGTH
    }
}

fn label(canvas: &Canvas<'_>, tick: &Tick, at: (f64, f64), anchor: Anchor) -> Drawn {
    if tick.label.is_empty() {
        return Ok(());
    }
    canvas.text(&tick.label, at, TICK, anchor, BLACK)
}
