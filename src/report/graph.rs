//! The graph of stages: what ran, what was in the cache, and every node.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::gather::Report;
use super::layout::{Layout, layout};
use super::number::{count, duration};
use super::page::{Section, scroll};
use super::stages::{MadeFacts, Stage, StageNode};

/// Nodes that are listed of one stage at most.
const MOST_NODES: usize = 500;
/// Longer parameters than this are told of, not shown.
const MOST_PARAMS: usize = 600;

const BOX: (f64, f64) = (124.0, 54.0);
const STEP: (f64, f64) = (158.0, 72.0);
const MARGIN: f64 = 6.0;

pub(super) fn section(report: &Report) -> Section {
    let nodes: usize = report.stages.iter().map(|stage| stage.nodes.len()).sum();
    let seconds: f64 = report.stages.iter().map(Stage::seconds).sum();
    Section {
        id: "graph",
        title: "What ran",
        body: html! {
            p {
                (count(report.stages.len(), "stage")) " with " (count(nodes, "node")) ". The run executed "
                b { (report.run.executed) } " and found " b { (report.run.cached) } " in the cache. "
                "When they were made, all of them together took " (duration(seconds)) "."
            }
            (drawing(report))
            ul.legend {
                li { span.swatch.ran aria-hidden="true" {} " ran in this run" }
                li { span.swatch.cached aria-hidden="true" {} " was in the cache" }
                @if report.stages.iter().any(|stage| stage.counts().2 > 0) {
                    li { span.swatch.missing aria-hidden="true" {} " not up to date" }
                }
            }
            @for (at, stage) in report.stages.iter().enumerate() { (details(report, at, stage)) }
        },
    }
}

/// The anchor of a stage's nodes.
pub(super) fn anchor(stage: usize) -> String {
    format!("s{}", stage + 1)
}

fn drawing(report: &Report) -> Markup {
    let places = layout(report.stages.len(), &report.edges);
    let width = (places.layers.max(1) as f64 - 1.0) * STEP.0 + BOX.0 + 2.0 * MARGIN;
    let height = (places.rows.max(1) as f64 - 1.0) * STEP.1 + BOX.1 + 2.0 * MARGIN;
    let corner = |(layer, row): (usize, f64)| {
        let x = MARGIN + layer as f64 * STEP.0;
        let y = height / 2.0 + row * STEP.1 - BOX.1 / 2.0;
        (x, y)
    };
    let svg = html! {
        svg.dag role="group" aria-label="Stages, from sources on the left to results on the right"
            viewBox={ "0 0 " (width) " " (height) } style={ "width:" (width) "px;min-width:min(" (width) "px,54rem)" } {
            g.edges aria-hidden="true" {
                @for path in paths(&places, corner) { path d=(path) {} }
            }
            @for (at, stage) in report.stages.iter().enumerate() {
                (stage_box(at, stage, corner(places.boxes[at])))
            }
        }
    };
    scroll("Graph of stages", svg)
}

/// Edges from the right side of a box to the left side of another, around those between.
fn paths(places: &Layout, corner: impl Fn((usize, f64)) -> (f64, f64)) -> Vec<String> {
    let draw = |chain: &Vec<(usize, f64)>| {
        let mut path = String::new();
        for (at, pair) in chain.windows(2).enumerate() {
            let ((x1, y1), (x2, y2)) = (corner(pair[0]), corner(pair[1]));
            let (start, end) = (x1 + BOX.0, x2);
            let (y1, y2) = (y1 + BOX.1 / 2.0, y2 + BOX.1 / 2.0);
            let middle = f64::midpoint(start, end);
            // Writing to a string does not fail.
            let _ = if at == 0 {
                write!(path, "M{start} {y1}")
            } else {
                write!(path, "H{start}")
            };
            let _ = write!(path, "C{middle} {y1} {middle} {y2} {end} {y2}");
        }
        path
    };
    places.edges.iter().map(draw).collect()
}

fn stage_box(at: usize, stage: &Stage, (x, y): (f64, f64)) -> Markup {
    let (ran, cached, missing) = stage.counts();
    let all = stage.nodes.len().max(1) as f64;
    let inner = BOX.0 - 20.0;
    let mut left = x + 10.0;
    let mut bar = String::new();
    for (n, class) in [(ran, "ran"), (cached, "cached"), (missing, "missing")] {
        let width = inner * n as f64 / all;
        if n > 0 {
            let y = y + BOX.1 - 10.0;
            let _ = write!(
                bar,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"4\"/>"
            );
        }
        left += width;
    }
    html! {
        a href={ "#" (anchor(at)) } {
            title { (stage.name) ": " (states(stage)) }
            rect.box x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="7" {}
            text.name x=(x + 10.0) y=(y + 20.0) { (short(&stage.name)) }
            text.sub x=(x + 10.0) y=(y + 36.0) { (count(stage.nodes.len(), "node")) " · " (brief(stage.seconds())) }
            (PreEscaped(bar))
        }
    }
}

/// A name that fits into a box.
fn short(name: &str) -> String {
    const FITS: usize = 14;
    if name.chars().count() <= FITS {
        return name.to_owned();
    }
    name.chars().take(FITS - 1).chain(['…']).collect()
}

/// A duration that fits into a box.
fn brief(seconds: f64) -> String {
    match seconds {
        ..0.095 => "<0.1 s".to_owned(),
        ..9.95 => format!("{seconds:.1} s"),
        ..99.5 => format!("{seconds:.0} s"),
        ..5970.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// `3 ran, 72 cached`.
fn states(stage: &Stage) -> String {
    let (ran, cached, missing) = stage.counts();
    let parts = [
        (ran, "ran"),
        (cached, "cached"),
        (missing, "not up to date"),
    ];
    let told = parts.iter().filter(|(n, _)| *n > 0);
    told.map(|(n, word)| format!("{n} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn details(report: &Report, at: usize, stage: &Stage) -> Markup {
    let needs: Vec<usize> = report
        .edges
        .iter()
        .filter(|(_, down)| *down == at)
        .map(|(up, _)| *up)
        .collect();
    html! {
        details.stage {
            summary {
                b { (stage.name) } " "
                span.states { (count(stage.nodes.len(), "node")) ": " (states(stage)) " · " (duration(stage.seconds())) }
            }
            div #(anchor(at)) tabindex="-1" {
                p {
                    "Kind " code { (stage.kind) } ", version " (stage.version)
                    @if !stage.axes.is_empty() { "; for every " (stage.axes.join(" × ")) }
                    @if !needs.is_empty() {
                        "; needs "
                        @for (place, up) in needs.iter().enumerate() {
                            @if place > 0 { ", " }
                            a href={ "#" (anchor(*up)) } { (report.stages[*up].name) }
                        }
                    }
                    "."
                }
                (params(stage))
                (nodes(stage))
            }
        }
    }
}

fn params(stage: &Stage) -> Markup {
    html! {
        @if !stage.params.is_empty() {
            dl.params {
                @for (name, value) in &stage.params {
                    div {
                        dt { (name) }
                        dd {
                            @if value.len() <= MOST_PARAMS { code { (value) } }
                            @else { "too long to show here; " code { "cpipe show" } " prints it" }
                        }
                    }
                }
            }
        }
    }
}

fn nodes(stage: &Stage) -> Markup {
    let shown = &stage.nodes[..stage.nodes.len().min(MOST_NODES)];
    let rows = html! {
        table.nodes {
            thead { tr { th scope="col" { "node" } th scope="col" { "state" } th.n scope="col" { "took" } th scope="col" { "action key" } th scope="col" { "how" } } }
            tbody { @for node in shown { (row(node)) } }
        }
    };
    html! {
        (scroll(&format!("Nodes of {}", stage.name), rows))
        @if shown.len() < stage.nodes.len() {
            p.remark { "The first " (shown.len()) " nodes; " code { "cpipe show NODE" } " tells of any." }
        }
    }
}

fn row(node: &StageNode) -> Markup {
    html! {
        tr {
            th scope="row" { (node.label) }
            @match &node.made {
                Some(made) => {
                    td { @if made.ran { "ran" } @else { "cached" } }
                    td.n data-v=(made.seconds) { (duration(made.seconds)) }
                    td { code title=(made.key) { (&made.key[..12]) } }
                    td { (facts(made)) }
                }
                None => { td { "not up to date" } td.n { "–" } td { "–" } td { "–" } }
            }
        }
    }
}

fn facts(made: &MadeFacts) -> String {
    let facts = made
        .facts
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    facts.collect::<Vec<_>>().join(", ")
}
