//! The fitted law with its intervals.

use cpipe_data::fit_report::{Convention, Estimate, Fit, FitReport};
use maud::{Markup, html};

use super::gather::Report;
use super::number::number;
use super::page::Section;
use super::tables::{self, Frame};

pub(super) fn section(report: &Report) -> Option<Section> {
    let fits = report.fits.as_ref()?;
    if fits.fits.is_empty() && fits.refused.is_empty() {
        return None;
    }
    Some(Section {
        id: "numbers",
        title: "Key numbers",
        body: html! {
            p.law aria-label="CR of P and S is a plus b times P to the minus alpha plus c times S to the minus beta" role="math" {
                var { "CR" } "(" var { "P" } ", " var { "S" } ") = " var { "a" } " + " var { "b" } "·" var { "P" } sup { "−" var { "α" } }
                " + " var { "c" } "·" var { "S" } sup { "−" var { "β" } }
            }
            p {
                "The compression ratio over " var { "P" } " parameters and " var { "S" } " training steps, fitted to the cells. "
                "Smaller is better. Below each number is its 95 % bootstrap interval; a star marks a value at a bound of its search range."
            }
            @if !fits.fits.is_empty() { (table(fits)) }
            (warnings(fits))
            (refusals(fits))
        },
    })
}

fn table(fits: &FitReport) -> Markup {
    let head = ["cells of", "a", "b", "c", "α", "β", "R²", "cells"]
        .into_iter()
        .enumerate();
    let frame = Frame {
        id: "law-fits",
        name: "Fitted law",
        file: "law",
        head: head.map(|(at, name)| (name.to_owned(), at > 0)).collect(),
    };
    let rows = html! {
        @for fit in &fits.fits {
            tr {
                th scope="row" data-v=(group(fit)) {
                    (fit.modality) " " span.interval { (fit.protocol) ", P " (convention(fit.convention)) }
                }
                @for estimate in estimates(fit) { (cell(&estimate)) }
                td.n data-v=(fit.r2) { (format!("{:.4}", fit.r2)) }
                td.n { (fit.n) }
            }
        }
    };
    tables::framed(&frame, &rows)
}

/// The cells that a law is fitted to, in words.
fn group(fit: &Fit) -> String {
    let convention = convention(fit.convention);
    format!("{}, {}, P {convention}", fit.modality, fit.protocol)
}

fn estimates(fit: &Fit) -> [Estimate; 5] {
    [fit.a, fit.b, fit.c, fit.alpha, fit.beta]
}

fn cell(estimate: &Estimate) -> Markup {
    let Estimate { value, lo, hi, .. } = estimate;
    html! {
        td.n data-v=(value) {
            (number(*value))
            @if estimate.at_bound { span.star { "*" } }
            span.interval { "[" (number(*lo)) ", " (number(*hi)) "]" }
        }
    }
}

fn convention(convention: Convention) -> &'static str {
    match convention {
        Convention::Nominal => "nominal",
        Convention::Total => "total",
        Convention::NonEmbedding => "non-embedding",
    }
}

fn warnings(fits: &FitReport) -> Markup {
    let warned = fits.fits.iter().filter(|fit| !fit.warnings.is_empty());
    let warned: Vec<&Fit> = warned.collect();
    html! {
        @if !warned.is_empty() {
            details {
                summary { "What the data cannot tell (" (warned.len()) " of " (fits.fits.len()) " fits)" }
                ul {
                    @for fit in warned {
                        li { (group(fit)) ": " (fit.warnings.join("; ")) }
                    }
                }
            }
        }
    }
}

fn refusals(fits: &FitReport) -> Markup {
    html! {
        @if !fits.refused.is_empty() {
            p { "No law could be fitted to:" }
            ul {
                @for refused in &fits.refused {
                    li {
                        (refused.modality) ", " (refused.protocol) ", P " (convention(refused.convention)) ": " (refused.reason)
                    }
                }
            }
        }
    }
}
