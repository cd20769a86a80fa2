//! The verdicts as files: JSON and CSV for programs, Markdown and LaTeX for people.

use cpipe_data::claims::{Claim, ClaimReport, Status};
use cpipe_engine::OutputDir;

use crate::error::AnalysisError;
use crate::text_table::{TextTable, significant};

/// What [`write`] makes.
pub(super) const NAMES: [&str; 4] = ["claims.json", "claims.csv", "claims.md", "claims.tex"];

pub(super) fn write(report: &ClaimReport, outputs: &OutputDir) -> Result<(), AnalysisError> {
    report.write(&outputs.path("claims.json"))?;
    let table = table(report);
    for (name, text) in [
        ("claims.csv", csv(report)?),
        ("claims.md", table.markdown() + &notes(report)),
        ("claims.tex", table.latex()),
    ] {
        let path = outputs.path(name);
        std::fs::write(&path, text).map_err(|e| AnalysisError::io(&path, e))?;
    }
    Ok(())
}

pub(super) fn verdict(status: Status) -> &'static str {
    match status {
        Status::Holds => "holds",
        Status::Fails => "fails",
        Status::CannotBeTold => "cannot be told",
    }
}

fn table(report: &ClaimReport) -> TextTable {
    let row = |claim: &Claim| {
        let interval = match (claim.lo, claim.hi) {
            (Some(lo), Some(hi)) => format!(
                "[{}, {}] {}",
                significant(lo),
                significant(hi),
                claim.interval
            ),
            _ => "–".to_owned(),
        };
        vec![
            claim.text.clone(),
            claim.expected.clone(),
            claim.found.map_or("–".to_owned(), significant),
            interval,
            verdict(claim.status).to_owned(),
        ]
    };
    let header = ["claim", "expected", "found", "95 % interval", "verdict"];
    let counts = [Status::Holds, Status::Fails, Status::CannotBeTold].map(|status| {
        let count = report.claims.iter().filter(|c| c.status == status).count();
        format!("{} {count}", verdict(status))
    });
    TextTable {
        title: format!("{} claims: {}", report.claims.len(), counts.join(", ")),
        header: header.map(str::to_owned).to_vec(),
        rows: report.claims.iter().map(row).collect(),
    }
}

/// Why some claims have no value.
fn notes(report: &ClaimReport) -> String {
    let told = report.claims.iter().filter_map(|claim| {
        let reason = claim.reason.as_ref()?;
        Some(format!("- {}: {reason}.\n", claim.text))
    });
    let notes: String = told.collect();
    if notes.is_empty() {
        notes
    } else {
        format!("\n{notes}")
    }
}

fn csv(report: &ClaimReport) -> Result<String, AnalysisError> {
    let wrong = |e: csv::Error| AnalysisError::Csv(e.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = [
        "claim", "source", "value", "scope", "expected", "found", "lo", "hi", "interval",
        "verdict", "reason",
    ];
    writer.write_record(header).map_err(wrong)?;
    let maybe = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    for claim in &report.claims {
        let fields = [
            claim.text.clone(),
            claim.source.clone(),
            claim.value.clone(),
            claim.scope.clone(),
            claim.expected.clone(),
            maybe(claim.found),
            maybe(claim.lo),
            maybe(claim.hi),
            claim.interval.clone(),
            verdict(claim.status).to_owned(),
            claim.reason.clone().unwrap_or_default(),
        ];
        writer.write_record(fields).map_err(wrong)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| AnalysisError::Csv(e.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
