//! The fits as files: JSON for programs, CSV, and tables like the paper's Table 1.

use std::fmt::Write;

use cpipe_data::fit_report::{Convention, Estimate, Fit, FitReport};
use cpipe_data::law_report::{LawFit, LawReport, Parameter};
use cpipe_engine::OutputDir;

use super::method::{Loss, Space};
use super::params::FitParams;
use crate::error::AnalysisError;
use crate::text_table::{TextTable, significant};

/// What [`write`] makes.
pub(super) const NAMES: [&str; 8] = [
    "fits.json",
    "fits.csv",
    "fits.md",
    "fits.tex",
    "laws.json",
    "laws.csv",
    "laws.md",
    "laws.tex",
];

pub(super) fn write(
    fits: &FitReport,
    laws: &LawReport,
    outputs: &OutputDir,
) -> Result<(), AnalysisError> {
    fits.write(&outputs.path("fits.json"))?;
    laws.write(&outputs.path("laws.json"))?;
    let (table, law_table) = (table(fits), law_table(laws));
    for (name, text) in [
        ("fits.csv", csv(fits)),
        ("fits.md", table.markdown() + &notes(fits)),
        ("fits.tex", table.latex()),
        ("laws.csv", law_csv(laws)),
        ("laws.md", law_table.markdown() + &law_notes(laws)),
        ("laws.tex", law_table.latex()),
    ] {
        let path = outputs.path(name);
        std::fs::write(&path, text).map_err(|e| AnalysisError::io(&path, e))?;
    }
    Ok(())
}

/// The loss and space of a fit, in words.
pub(super) fn describe(params: &FitParams) -> String {
    let loss = match params.loss {
        Loss::Squares => "squares".to_owned(),
        Loss::Huber(delta) => format!("huber({delta})"),
    };
    match params.space {
        Space::Linear => loss,
        Space::Log => format!("{loss} of logarithms"),
    }
}

pub(crate) fn name_of(convention: Convention) -> &'static str {
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
        title: "CR(P, S) = a + b P^-α + c S^-β, with 95 % bootstrap intervals".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: report.fits.iter().map(row).collect(),
    }
}

fn shown(estimate: Estimate) -> String {
    let [value, lo, hi] = [estimate.value, estimate.lo, estimate.hi].map(significant);
    format!("{value} [{lo}, {hi}]")
}

/// What the table can't say: coefficients at bounds, groups without a fit.
fn notes(report: &FitReport) -> String {
    let mut text = String::new();
    for fit in &report.fits {
        for warning in &fit.warnings {
            let of = [&fit.modality, &fit.protocol, name_of(fit.convention)].join(", ");
            writeln!(text, "- {of}: {warning}.").expect("writing to a string does not fail");
        }
    }
    for refusal in &report.refused {
        let convention = name_of(refusal.convention);
        let of = [&refusal.modality, &refusal.protocol, convention].join(", ");
        writeln!(text, "- {of}: no fit: {}.", refusal.reason)
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

/// A row per fit: parameters with their intervals, and how far to believe them.
fn law_table(report: &LawReport) -> TextTable {
    let header = [
        "modality",
        "protocol",
        "P",
        "law",
        "parameters",
        "R²",
        "RMSE",
        "AICc",
        "BIC",
        "size left out",
        "last step left out",
        "n",
    ];
    let maybe = |value: Option<f64>| value.map_or("–".to_owned(), significant);
    let row = |fit: &LawFit| {
        let parameters: Vec<String> = fit.parameters.iter().map(stated).collect();
        vec![
            fit.modality.clone(),
            fit.protocol.clone(),
            name_of(fit.convention).to_owned(),
            fit.law.clone(),
            parameters.join("; "),
            format!("{:.4}", fit.r2),
            significant(fit.rmse),
            fit.aicc.map_or("–".to_owned(), |c| format!("{c:.1}")),
            fit.bic.map_or("–".to_owned(), |c| format!("{c:.1}")),
            maybe(fit.leave_size_out),
            maybe(fit.leave_last_step_out),
            fit.n.to_string(),
        ]
    };
    TextTable {
        title: "Laws: each parameter ± its standard error, its 95 % bootstrap interval in [ ] and its 95 % profile likelihood interval in ( )".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: report.fits.iter().map(row).collect(),
    }
}

fn stated(parameter: &Parameter) -> String {
    let Parameter {
        name,
        value,
        stderr,
        lo,
        hi,
        profile_lo,
        profile_hi,
        ..
    } = parameter;
    let error = stderr.map_or(String::new(), |e| format!(" ± {}", significant(e)));
    let end = |value: &Option<f64>| value.map_or("no end".to_owned(), significant);
    let [value, lo, hi] = [value, lo, hi].map(|v| significant(*v));
    format!(
        "{name} = {value}{error} [{lo}, {hi}] ({}, {})",
        end(profile_lo),
        end(profile_hi)
    )
}

fn law_notes(report: &LawReport) -> String {
    let mut text = String::from("\n");
    let mut formulas: Vec<String> = Vec::new();
    for fit in &report.fits {
        let formula = format!("- {}: `{}`, least {}.\n", fit.law, fit.formula, fit.method);
        if !formulas.contains(&formula) {
            formulas.push(formula);
        }
    }
    text.extend(formulas);
    let group = |modality: &str, protocol: &str, convention, law: &str| {
        format!("- {modality}, {protocol}, P {}, {law}", name_of(convention))
    };
    for fit in &report.fits {
        let of = group(&fit.modality, &fit.protocol, fit.convention, &fit.law);
        text.extend(
            fit.warnings
                .iter()
                .map(|warning| format!("{of}: {warning}.\n")),
        );
    }
    for r in &report.refused {
        let of = group(&r.modality, &r.protocol, r.convention, &r.law);
        text.extend([of, format!(": no fit: {}.\n", r.reason)]);
    }
    text
}

/// A row per fit and parameter.
fn law_csv(report: &LawReport) -> String {
    let mut text = "modality,protocol,convention,law,parameter,value,stderr,lo,hi,profile_lo,profile_hi,at_bound,r2,rmse,aicc,bic,leave_size_out,leave_last_step_out,n\n".to_owned();
    let maybe = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    for fit in &report.fits {
        for p in &fit.parameters {
            let fields = [
                fit.modality.clone(),
                fit.protocol.clone(),
                name_of(fit.convention).to_owned(),
                fit.law.clone(),
                p.name.clone(),
                p.value.to_string(),
                maybe(p.stderr),
                p.lo.to_string(),
                p.hi.to_string(),
                maybe(p.profile_lo),
                maybe(p.profile_hi),
                p.at_bound.to_string(),
                fit.r2.to_string(),
                fit.rmse.to_string(),
                maybe(fit.aicc),
                maybe(fit.bic),
                maybe(fit.leave_size_out),
                maybe(fit.leave_last_step_out),
                fit.n.to_string(),
            ];
            text += &fields.join(",");
            text.push('\n');
        }
    }
    text
}
