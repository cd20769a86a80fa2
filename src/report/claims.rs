//! The claims of a study, and whether they hold.

use cpipe_data::claims::{Claim, ClaimReport, Status};
use maud::{Markup, html};

use super::gather::Report;
use super::number::number;
use super::page::Section;
use super::tables::{self, Frame};

const STATUSES: [Status; 3] = [Status::Holds, Status::Fails, Status::CannotBeTold];

pub(super) fn section(report: &Report) -> Option<Section> {
    let claims = report.claims.as_ref().filter(|c| !c.claims.is_empty())?;
    Some(Section {
        id: "claims",
        title: "Claims",
        body: html! {
            p {
                "A claim holds when its whole 95 % interval is as claimed, fails when none of it is, and cannot be told otherwise."
            }
            (tally(claims))
            (table(claims))
        },
    })
}

/// How many of each, in words and as a bar.
fn tally(claims: &ClaimReport) -> Markup {
    let of = |status| claims.claims.iter().filter(|c| c.status == status).count();
    html! {
        ul.tally {
            @for status in STATUSES {
                li { (chip(status)) " " b { (of(status)) } }
            }
        }
        div.bar aria-hidden="true" {
            @for status in STATUSES {
                @if of(status) > 0 {
                    span class=(class(status)) style={ "flex-grow:" (of(status)) } {}
                }
            }
        }
    }
}

fn table(claims: &ClaimReport) -> Markup {
    let head = [
        ("claim", false),
        ("verdict", false),
        ("expected", false),
        ("found", true),
        ("95 % interval", false),
        ("source", false),
    ];
    let frame = Frame {
        id: "claims-table",
        name: "Claims",
        file: "claims",
        head: head
            .map(|(name, numeric)| (name.to_owned(), numeric))
            .into(),
    };
    let rows = html! {
        @for claim in &claims.claims {
            tr {
                th.long scope="row" { (claim.text) }
                td {
                    (chip(claim.status))
                    @if let Some(reason) = &claim.reason { span.interval { (reason) } }
                }
                td { (claim.expected) }
                td.n data-v=[claim.found] { (claim.found.map_or_else(|| "–".to_owned(), number)) }
                td { (interval(claim)) }
                td { (claim.source) }
            }
        }
    };
    tables::framed(&frame, &rows)
}

fn interval(claim: &Claim) -> Markup {
    html! {
        @if let (Some(lo), Some(hi)) = (claim.lo, claim.hi) {
            "[" (number(lo)) ", " (number(hi)) "] " span.interval { (claim.interval) }
        } @else { "–" }
    }
}

fn chip(status: Status) -> Markup {
    let (sign, word) = match status {
        Status::Holds => ("✓", "holds"),
        Status::Fails => ("✗", "fails"),
        Status::CannotBeTold => ("?", "cannot be told"),
    };
    html! {
        span class={ "chip " (class(status)) } { span aria-hidden="true" { (sign) } " " (word) }
    }
}

fn class(status: Status) -> &'static str {
    match status {
        Status::Holds => "holds",
        Status::Fails => "fails",
        Status::CannotBeTold => "open",
    }
}
