//! Figures with their captions.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::figure::{Figure, Picture};
use super::gather::Report;
use super::page::{Section, scroll};
use super::table::ending;
use super::tables;

/// Wider drawings than this scroll on a narrow screen instead of shrinking.
const WIDE: f64 = 700.0;

pub(super) fn section(report: &Report) -> Option<Section> {
    if report.figures.is_empty() {
        return None;
    }
    Some(Section {
        id: "figures",
        title: "Figures",
        body: html! {
            @for (at, figure) in report.figures.iter().enumerate() {
                (shown(report, figure, at + 1))
            }
        },
    })
}

fn shown(report: &Report, figure: &Figure, number: usize) -> Markup {
    let name = format!("Figure {number}: {}", figure.caption);
    let label = format!("figure-{number}");
    html! {
        figure #(label) aria-labelledby={ (label) "-caption" } {
            (plate(figure, &name))
            figcaption #{ (label) "-caption" } {
                p { b { "Figure " (number) ". " } (figure.caption) }
                p.links { (links(report, figure)) }
            }
        }
    }
}

fn plate(figure: &Figure, name: &str) -> Markup {
    match &figure.picture {
        Picture::Drawing(drawing) => {
            let (width, height) = drawing.size;
            let picture = html! {
                svg role="img" aria-label=(name) viewBox={ "0 0 " (width) " " (height) }
                    width=(width) height=(height) { (PreEscaped(&drawing.inner)) }
            };
            if width > WIDE {
                html! { div.plate.wide-plate { (scroll(name, picture)) } }
            } else {
                html! { div.plate { (picture) } }
            }
        }
        Picture::Image(address) => html! {
            div.plate { img src=(address) alt=(name); }
        },
    }
}

/// Where it comes from, its data, and its files beside the page.
fn links(report: &Report, figure: &Figure) -> Markup {
    let made_by = report.products.iter().find(|p| p.node == figure.node);
    let stages: Vec<usize> = made_by.map_or_else(Vec::new, |product| {
        product.chain.iter().map(|(stage, _)| *stage).collect()
    });
    let feeds = |node: &str| {
        let product = report.products.iter().find(|p| p.node == node);
        product.is_some_and(|product| stages.contains(&product.stage))
    };
    let tables = report.tables.iter().enumerate();
    let data: Vec<(usize, &str)> = tables
        .filter(|(_, table)| feeds(&table.node))
        .map(|(at, table)| (at, table.stem()))
        .collect();
    html! {
        "Made by " a href={ "#" (super::provenance::anchor(report, &figure.node)) } { (figure.node) }
        @if !data.is_empty() {
            " · data: "
            @for (place, (at, stem)) in data.iter().enumerate() {
                @if place > 0 { ", " }
                a href={ "#" (tables::id(*at)) } { (stem) }
            }
        }
        " · files: "
        a href=(address(&figure.path)) { (figure.path) }
        @for other in &figure.others {
            ", " a href=(address(other)) { (ending(other)) span.sr { " of " (figure.path) } }
        }
    }
}

/// The address of a file beside the page: whatever its name holds, it is a name.
fn address(path: &str) -> String {
    let mut address = "./".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_no_addresses_of_another_kind() {
        assert_eq!(address("figures/law.svg"), "./figures/law.svg");
        assert_eq!(address("javascript:a #ü"), "./javascript%3Aa%20%23%C3%BC");
    }
}
