use cpipe_data::fit_report::{self, Estimate};
use cpipe_data::law_report;

/// The paper's law with its coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LawFit {
    /// Irreducible ratio.
    pub a: f64,
    /// Amplitude of the size term.
    pub b: f64,
    /// Amplitude of the training term.
    pub c: f64,
    /// Exponent of the size term.
    pub alpha: f64,
    /// Exponent of the training term.
    pub beta: f64,
    /// Residual sum of squares.
    pub rss: f64,
}

impl LawFit {
    /// a + b·P^-α + c·S^-β.
    pub fn predict(&self, p: f64, s: f64) -> f64 {
        self.a + self.b * libm::pow(p, -self.alpha) + self.c * libm::pow(s, -self.beta)
    }
}

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
