//! The fits as files: JSON for programs, CSV, and tables like the paper's Table 1.

use std::fmt::Write;

use cpipe_data::fit_report::{Convention, Estimate, Fit, FitReport};
use cpipe_engine::OutputDir;

use crate::error::AnalysisError;
use crate::text_table::TextTable;

pub(super) fn write(report: &FitReport, outputs: &OutputDir) -> Result<(), AnalysisError> {
    report.write(&outputs.path("fits.json"))?;
    let table = table(report);
    let notes = notes(report);
    for (name, text) in [
        ("fits.csv", csv(report)),
        ("fits.md", table.markdown() + &notes),
        ("fits.tex", table.latex()),
    ] {
        let path = outputs.path(name);
        std::fs::write(&path, text).map_err(|e| AnalysisError::io(&path, e))?;
    }
    Ok(())
}

fn name_of(convention: Convention) -> &'static str {
    match convention {
        Convention::Nominal => "nominal",
        Convention::Total => "total",
        Convention::NonEmbedding => "non-embedding",
    }
}

fn table(report: &FitReport) -> TextTable {
    let header = [
        "modality", "protocol", "P", "a", "b", "c", "α", "β", "R²", "RMSE", "n",
    ];
    let row = |fit: &Fit| {
        let mut row = vec![
            fit.modality.clone(),
            fit.protocol.clone(),
            name_of(fit.convention).to_owned(),
        ];
        row.extend([fit.a, fit.b, fit.c, fit.alpha, fit.beta].map(shown));
        row.extend([
            format!("{:.4}", fit.r2),
            significant(fit.rmse),
            fit.n.to_string(),
        ]);
        row
    };
    TextTable {
        title: "CR(P, S) = a + b P^-α + c S^-β, least squares, with 95 % bootstrap intervals over cells".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: report.fits.iter().map(row).collect(),
    }
}

fn shown(estimate: Estimate) -> String {
    let [value, lo, hi] = [estimate.value, estimate.lo, estimate.hi].map(significant);
    format!("{value} [{lo}, {hi}]")
}

/// Three significant digits.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = libm::floor(libm::log10(value.abs())) as i32;
    if (-4..6).contains(&magnitude) {
        let decimals = (2 - magnitude).max(0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.2e}")
    }
}

/// What the table can't say: coefficients at bounds, groups without a fit.
fn notes(report: &FitReport) -> String {
    let mut text = String::new();
    for fit in &report.fits {
        for warning in &fit.warnings {
            writeln!(text, "- {}, {}: {warning}.", fit.modality, fit.protocol)
                .expect("writing to a string does not fail");
        }
    }
    for refusal in &report.refused {
        writeln!(
            text,
            "- {}, {}: no fit: {}.",
            refusal.modality, refusal.protocol, refusal.reason
        )
        .expect("writing to a string does not fail");
    }
    if text.is_empty() {
        text
    } else {
        format!("\n{text}")
    }
}

fn csv(report: &FitReport) -> String {
    let mut text = "modality,protocol,convention".to_owned();
    for name in ["a", "b", "c", "alpha", "beta"] {
        write!(text, ",{name},{name}_lo,{name}_hi").expect("writing to a string does not fail");
    }
    text.push_str(",r2,rmse,n\n");
    for fit in &report.fits {
        write!(
            text,
            "{},{},{}",
            fit.modality,
            fit.protocol,
            name_of(fit.convention)
        )
        .expect("writing to a string does not fail");
        for e in [fit.a, fit.b, fit.c, fit.alpha, fit.beta] {
            write!(text, ",{},{},{}", e.value, e.lo, e.hi)
                .expect("writing to a string does not fail");
        }
        writeln!(text, ",{},{},{}", fit.r2, fit.rmse, fit.n)
            .expect("writing to a string does not fail");
    }
    text
}
