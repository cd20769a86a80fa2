use cpipe_data::fit_report::{self, Estimate, FitReport};
use cpipe_data::law_report::{self, LawRefusal, LawReport};

/// Name of the built-in law.
pub(super) const NAME: &str = "additive";

/// A fit of the built-in law `additive` as a row of `fits.json`.
pub(super) fn row(fit: &law_report::LawFit) -> Option<fit_report::Fit> {
    let estimate = |name: &str| {
        let parameter = fit.parameters.iter().find(|p| p.name == name)?;
        let law_report::Parameter {
            value,
            lo,
            hi,
            at_bound,
            ..
        } = *parameter;
        Some(Estimate {
            value,
            lo,
            hi,
            at_bound,
        })
    };
    let mut row = fit_report::Fit {
        protocol: fit.protocol.clone(),
        modality: fit.modality.clone(),
        convention: fit.convention,
        a: estimate("a")?,
        b: estimate("b")?,
        c: estimate("c")?,
        alpha: estimate("alpha")?,
        beta: estimate("beta")?,
        r2: fit.r2,
        rmse: fit.rmse,
        n: fit.n,
        bootstrap: fit.bootstrap,
        warnings: Vec::new(),
    };
    row.warnings = warnings(&row);
    Some(row)
}

/// A report of `fits.json` alone as the law report that it came from, as far as it tells.
pub(crate) fn as_laws(report: &FitReport) -> LawReport {
    let refused = report.refused.iter().map(|r| LawRefusal {
        protocol: r.protocol.clone(),
        modality: r.modality.clone(),
        convention: r.convention,
        law: NAME.to_owned(),
        reason: r.reason.clone(),
    });
    LawReport {
        version: law_report::VERSION,
        fits: report.fits.iter().map(as_law).collect(),
        refused: refused.collect(),
    }
}

fn as_law(fit: &fit_report::Fit) -> law_report::LawFit {
    let named = [
        ("a", fit.a),
        ("b", fit.b),
        ("alpha", fit.alpha),
        ("c", fit.c),
        ("beta", fit.beta),
    ];
    let parameter = |(name, estimate): (&str, Estimate)| law_report::Parameter {
        name: name.to_owned(),
        value: estimate.value,
        stderr: None,
        lo: estimate.lo,
        hi: estimate.hi,
        // The row has no profile: an interval that is known, in its place.
        profile_lo: Some(estimate.lo),
        profile_hi: Some(estimate.hi),
        at_bound: estimate.at_bound,
    };
    law_report::LawFit {
        protocol: fit.protocol.clone(),
        modality: fit.modality.clone(),
        convention: fit.convention,
        law: NAME.to_owned(),
        formula: "a + b * P^-alpha + c * S^-beta".to_owned(),
        method: "squares".to_owned(),
        parameters: named.map(parameter).into(),
        covariance: None,
        n: fit.n,
        rss: fit.rmse * fit.rmse * fit.n as f64,
        r2: fit.r2,
        rmse: fit.rmse,
        aicc: None,
        bic: None,
        leave_size_out: None,
        leave_last_step_out: None,
        sizes: (f64::NAN, f64::NAN),
        steps: (f64::NAN, f64::NAN),
        tokens_per_step: None,
        bootstrap: fit.bootstrap,
        warnings: fit.warnings.clone(),
    }
}

fn warnings(fit: &fit_report::Fit) -> Vec<String> {
    let named = [
        ("a", fit.a),
        ("b", fit.b),
        ("c", fit.c),
        ("α", fit.alpha),
        ("β", fit.beta),
    ];
    let bounds = named.iter().filter(|(_, e)| e.at_bound);
    let bounds = bounds.map(|(name, e)| format!("{name} stands at its bound {}", e.value));
    let wide = |e: &Estimate| e.hi > 3.0 * e.lo.max(f64::MIN_POSITIVE);
    let loose = named[3..].iter().filter(|(_, e)| wide(e));
    let loose = loose.map(|(name, _)| {
        format!("{name} is hardly determined: its interval spans a factor of three or more")
    });
    bounds.chain(loose).collect()
}
