//! Ticks and their labels.

use super::font::{fitting, superscript, widest, width};
use super::frame::Frame;
use super::scale::{Linear, Log, decimals_of};
use super::scene::{Anchor, Scene};
use super::style::Style;

/// A mark on an axis, with a label unless that is empty.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Which way an axis runs.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Across,
    Up,
}

/// Room that a label needs to either side of its tick.
fn half(label: &str, style: &Style, direction: Direction) -> f64 {
    match direction {
        Direction::Across => f64::midpoint(width(label, style.small), 0.6 * style.small),
        Direction::Up => 0.7 * style.small,
    }
}

/// How the numbers of a logarithmic axis are written.
#[derive(Clone, Copy)]
pub(super) enum Numbers {
    /// 10⁵, 3×10⁵
    Powers,
    /// 0.3
    Plain,
}

impl Numbers {
    fn write(self, multiple: u32, exponent: i32) -> String {
        match (self, exponent) {
            (Self::Plain, -3..=3) => {
                let value = f64::from(multiple) * libm::pow(10.0, f64::from(exponent));
                let decimals = usize::try_from(-exponent).unwrap_or(0);
                format!("{value:.decimals$}")
            }
            _ if multiple == 1 => format!("10{}", superscript(&exponent.to_string())),
            _ => format!("{multiple}×10{}", superscript(&exponent.to_string())),
        }
    }
}

/// Most ticks of an axis; over more decades than that, only some powers of ten have one.
const MOST: i32 = 12;

/// Powers of ten with minor ticks between; where fewer than two are in sight, some of their multiples
/// are labelled too.
pub(super) fn decades(
    axis: &Log,
    style: &Style,
    numbers: Numbers,
    direction: Direction,
) -> Vec<Tick> {
    let (low, high) = axis.ends();
    if matches!(numbers, Numbers::Plain) && high < 10.0 * low {
        return plain(axis, style, direction);
    }
    let (first, last) = (
        libm::floor(libm::log10(low)),
        libm::floor(libm::log10(high)),
    );
    let (first, last) = (first.max(-320.0) as i32, last.min(320.0) as i32);
    let stride = ((last - first) / MOST + 1) as usize;
    let multiples = if stride == 1 { 1..10 } else { 1..2 };
    let mut found: Vec<(u32, Tick)> = Vec::new();
    for exponent in (first..=last).step_by(stride) {
        for multiple in multiples.clone() {
            let value = f64::from(multiple) * libm::pow(10.0, f64::from(exponent));
            if (low..=high).contains(&value) {
                let label = numbers.write(multiple, exponent);
                let at = axis.place(value);
                found.push((multiple, Tick { at, label }));
            }
        }
    }
    keep_labels(&mut found, style, direction);
    found.into_iter().map(|(_, tick)| tick).collect()
}

/// Round numbers, for less than a decade.
fn plain(axis: &Log, style: &Style, direction: Direction) -> Vec<Tick> {
    let values = Linear::between(axis.ends(), (0.0, 1.0)).ticks(6);
    labelled(values, |value| axis.place(value), style, direction)
}

/// Ticks with as many decimals as their values need, as many as have room.
fn labelled(
    values: Vec<f64>,
    place: impl Fn(f64) -> f64,
    style: &Style,
    direction: Direction,
) -> Vec<Tick> {
    let decimals = decimals_of(&values);
    let tick = |value: f64| Tick {
        at: place(value),
        label: written(value, decimals),
    };
    let mut ticks: Vec<Tick> = values.into_iter().map(tick).collect();
    thin(&mut ticks, style, direction);
    ticks
}

/// Clears labels but those of the roundest multiples, until two are left or none is left to try.
fn keep_labels(found: &mut [(u32, Tick)], style: &Style, direction: Direction) {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let rounds: [&[u32]; 4] = [&[1], &[3], &[2, 5], &[4, 6, 7, 8, 9]];
    for (round, multiples) in rounds.iter().enumerate() {
        let enough = round > 0 && kept.len() >= 2;
        for (_, tick) in found.iter_mut().filter(|(m, _)| multiples.contains(m)) {
            let half = half(&tick.label, style, direction);
            let apart = |(at, other): &(f64, f64)| (tick.at - at).abs() >= half + other;
            if enough || !kept.iter().all(apart) {
                tick.label.clear();
            } else {
                kept.push((tick.at, half));
            }
        }
    }
}

/// Clears labels that would run into the one before.
pub(super) fn thin(ticks: &mut [Tick], style: &Style, direction: Direction) {
    let mut last: Option<(f64, f64)> = None;
    for tick in ticks {
        let half = half(&tick.label, style, direction);
        if last.is_none_or(|(at, other)| (tick.at - at).abs() >= half + other) {
            last = Some((tick.at, half));
        } else {
            tick.label.clear();
        }
    }
}

/// Round numbers, as many as have room.
pub(super) fn round(axis: &Linear, style: &Style, direction: Direction) -> Vec<Tick> {
    let length = (axis.place(axis.high) - axis.place(axis.low)).abs();
    let each = match direction {
        Direction::Across => 3.6 * style.small,
        Direction::Up => 1.9 * style.small,
    };
    let values = axis.ticks(((length / each) as usize).clamp(2, 8));
    labelled(values, |value| axis.place(value), style, direction)
}

fn written(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e6 {
        format!("{value:.0e}")
    } else {
        let text = format!("{value:.decimals$}");
        let zero = text
            .trim_start_matches('-')
            .chars()
            .all(|c| matches!(c, '0' | '.'));
        let sign = if zero { "" } else { "−" };
        text.replace('-', sign)
    }
}

/// Below the frame, down to the middle of the labels.
pub(super) fn drop(style: &Style) -> f64 {
    style.tick() + 0.85 * style.small
}

/// Room below a frame for ticks, labels and the name of the axis.
pub(super) fn depth(style: &Style) -> f64 {
    drop(style) + 0.6 * style.small + 1.3 * style.label
}

/// Room beside a frame for ticks and their labels, whatever its height: a higher one has more ticks,
/// with more decimals. `ticks` are those of an axis between two places.
pub(super) fn room(style: &Style, ticks: &dyn Fn((f64, f64)) -> Vec<Tick>) -> f64 {
    let heights = (4..20).map(|lines| 1.5 * f64::from(lines) * style.small);
    let widths = heights.map(|height| {
        let ticks = ticks((height, 0.0));
        widest(ticks.iter().map(|tick| tick.label.as_str()), style.small)
    });
    style.tick() + 0.35 * style.small + widths.fold(0.0, f64::max)
}

/// Ticks below a frame, and the name of the axis.
pub(super) fn below(scene: &mut Scene, style: &Style, frame: Frame, ticks: &[Tick], name: &str) {
    for tick in ticks {
        let end = frame.bottom + length(tick, style);
        scene.line(&[(tick.at, frame.bottom), (tick.at, end)], style.hairline());
        let at = (tick.at, frame.bottom + drop(style));
        scene.text(&tick.label, at, style.small, Anchor::Centre, style.ink);
    }
    let at = frame.bottom + drop(style) + 0.6 * style.small + 0.6 * style.label;
    let middle = (frame.middle().0, at);
    scene.text(name, middle, style.label, Anchor::Centre, style.ink);
}

/// Ticks to the left of a frame.
pub(super) fn beside(scene: &mut Scene, style: &Style, frame: Frame, ticks: &[Tick]) {
    for tick in ticks {
        let end = frame.left - length(tick, style);
        scene.line(&[(frame.left, tick.at), (end, tick.at)], style.hairline());
        let at = (frame.left - style.tick() - 0.35 * style.small, tick.at);
        scene.text(&tick.label, at, style.small, Anchor::Right, style.ink);
    }
}

/// The name of a vertical axis, `room` to the left of the frame.
pub(super) fn name_beside(scene: &mut Scene, style: &Style, frame: Frame, room: f64, name: &str) {
    let at = (frame.left - room - 0.8 * style.label, frame.middle().1);
    let size = fitting(name, style.label, frame.height() + style.label);
    scene.upright(name, at, size, style.ink);
}

fn length(tick: &Tick, style: &Style) -> f64 {
    if tick.label.is_empty() {
        style.tick() * 0.6
    } else {
        style.tick()
    }
}
