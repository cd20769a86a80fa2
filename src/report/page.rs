//! The page around the sections: head, navigation, script and style.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cpipe_engine::digest;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::gather::Report;
use super::{claims, figures, graph, headline, key_numbers, provenance, tables};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A part of the page with a heading of its own.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Markup,
}

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let sections: Vec<Section> = [
        study(report),
        key_numbers::section(report),
        claims::section(report),
        figures::section(report),
        tables::section(report),
        Some(graph::section(report)),
        Some(provenance::section(report)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(report))
            body id="top" {
                a.skip href="#main" { "Skip to the report" }
                div.page {
                    (navigation(&sections))
                    main #main tabindex="-1" {
                        (headline::headline(report))
                        @for section in &sections {
                            section #(section.id) aria-labelledby={ (section.id) "-title" } {
                                h2 id={ (section.id) "-title" } { (section.title) }
                                (section.body)
                            }
                        }
                    }
                }
                footer {
                    p {
                        "Made by cpipe " (env!("CARGO_PKG_VERSION")) " from run " code { (report.run.id) }
                        ". This file is complete in itself: it loads nothing and sends nothing."
                    }
                }
                p.sr #status role="status" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// The stamp comes first, so that little has to be read to find it.
fn head(report: &Report) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="cpipe-report" content=(report.stamp);
            meta http-equiv="Content-Security-Policy" content=(policy());
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="generator" content={ "cpipe " (env!("CARGO_PKG_VERSION")) };
            title { (report.title) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// Nothing is loaded from anywhere, and the only script that runs is the page's own.
fn policy() -> String {
    let hex = digest::sha256(SCRIPT.as_bytes());
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect();
    let script = BASE64_STANDARD.encode(bytes);
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; \
         img-src data:; base-uri 'none'; form-action 'none'"
    )
}

fn navigation(sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Sections" {
            a.home href="#top" { "Report" }
            ol {
                @for section in sections {
                    li { a href={ "#" (section.id) } { (section.title) } }
                }
            }
        }
    }
}

/// The study in its own words.
fn study(report: &Report) -> Option<Section> {
    Some(Section {
        id: "study",
        title: "The study",
        body: html! { div.words { (PreEscaped(report.words.as_ref()?)) } },
    })
}

/// A wide thing that scrolls by itself, by touch and by keyboard.
pub(super) fn scroll(name: &str, body: Markup) -> Markup {
    html! {
        div.scroll role="group" aria-label=(name) tabindex="0" { (body) }
    }
}
