//! Where every figure and table comes from, down to the digests of sources.

use maud::{Markup, html};

use super::gather::Report;
use super::graph;
use super::number::{count, size};
use super::page::{Section, scroll};
use super::products::Product;

pub(super) fn section(report: &Report) -> Section {
    Section {
        id: "provenance",
        title: "Provenance",
        body: html! {
            @if !report.products.is_empty() {
                p {
                    "Each node is keyed by its stage and version, its parameters and the digests of its inputs, so that the action key of a node "
                    "stands for everything below it."
                }
                @for (at, product) in report.products.iter().enumerate() { (shown(report, at, product)) }
            }
            (sources(report))
            (reproduce(report))
        },
    }
}

/// The anchor of what a node exports.
pub(super) fn anchor(report: &Report, node: &str) -> String {
    let place = report
        .products
        .iter()
        .position(|product| product.node == node);
    place.map_or_else(|| "provenance".to_owned(), |at| format!("p{}", at + 1))
}

fn shown(report: &Report, at: usize, product: &Product) -> Markup {
    html! {
        h3 id={ "p" (at + 1) } { (product.node) }
        p {
            "Made by " a href={ "#" (graph::anchor(product.stage)) } { (report.stages[product.stage].kind) " version " (product.version) }
            ", action key " code.digest { (product.key) } "."
        }
        (files(product))
        @if !product.chain.is_empty() {
            p.chain {
                "From "
                @for (place, (stage, nodes)) in product.chain.iter().enumerate() {
                    @if place > 0 { " ← " }
                    a href={ "#" (graph::anchor(*stage)) } {
                        (report.stages[*stage].name) @if *nodes > 1 { " × " (nodes) }
                    }
                }
                "."
            }
        }
        (rests_on(report, product))
    }
}

fn files(product: &Product) -> Markup {
    let table = html! {
        table {
            thead { tr { th scope="col" { "file" } th scope="col" { "BLAKE3" } th.n scope="col" { "size" } } }
            tbody {
                @for file in &product.files {
                    tr {
                        th scope="row" { (file.path) }
                        td { code.digest { (file.digest) } }
                        td.n data-v=[file.size] { (file.size.map_or_else(|| "–".to_owned(), size)) }
                    }
                }
            }
        }
    };
    scroll(&format!("Files made by {}", product.node), table)
}

fn rests_on(report: &Report, product: &Product) -> Markup {
    let list = html! {
        ul.sources {
            @for place in &product.sources {
                li { a href={ "#src" (place + 1) } { (report.sources.list[*place].name) } }
            }
        }
    };
    html! {
        @match product.sources.len() {
            0 => { p { "It rests on no source outside the pipeline file." } }
            n if n > 8 => {
                details.rests { summary { "It rests on " (count(n, "source")) } (list) }
            }
            n => { p { "It rests on " (count(n, "source")) ":" } (list) }
        }
    }
}

fn sources(report: &Report) -> Markup {
    let table = html! {
        table #sources-table data-file="sources" {
            thead { tr { th scope="col" { "source" } th scope="col" { "digest" } th scope="col" { "where" } } }
            tbody {
                @for (at, source) in report.sources.list.iter().enumerate() {
                    tr id={ "src" (at + 1) } {
                        th scope="row" { (source.name) }
                        td { code.digest { (source.digest) } }
                        td { (source.place) }
                    }
                }
            }
        }
    };
    html! {
        @if !report.sources.list.is_empty() {
            h3 #sources { "Sources" }
            p { "The digests are part of the keys: with other content, none of the above would stand here." }
            (scroll("Table: Sources", table))
        }
    }
}

fn reproduce(report: &Report) -> Markup {
    html! {
        h3 #reproduce { "Do it again" }
        p {
            "In the folder of the pipeline, the first command brings everything up to date, and the second writes this page. "
            "With the cache of this run, the second needs no source."
        }
        pre tabindex="0" aria-label="Commands" role="group" { code {
            @for command in &report.commands { (command) "\n" }
        } }
        p {
            code { "cpipe show NODE" } " prints a node's action in full, " code { "cpipe why NODE" }
            " what differs from before, " code { "cpipe verify" } " hashes the whole cache again."
        }
    }
}
